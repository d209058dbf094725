//! From a position inside a formula to its position in the document.

use crate::issue::Mark;
use crate::rule::FormulaText;

impl FormulaText {
    /// Where `line` and `column` of the formula (both from 1) stand in the document.
    ///
    /// Exact for a formula on one line and for a literal block (`|`). Where the document folds lines together or writes
    /// characters as escapes, the line is where the formula begins and the column may be too small.
    #[must_use]
    pub fn mark_at(&self, line: u32, column: u32) -> Mark {
        if self.mark.line == 0 || line == 0 {
            return self.mark;
        }
        Mark {
            line: self.mark.line.saturating_add(line - 1),
            column: self.mark.column.saturating_add(column.saturating_sub(1)),
        }
    }
}
