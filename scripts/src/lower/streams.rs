//! Calls of stream functions: their forms in a condition and in a window, durations, filters.

use std::sync::Arc;

use rhai::{Expr, Position};
use tidegate_proto::Span;

use super::Lowering;
use super::members::GroupForm;
use crate::catalogue::{Constant, Lookback, MOST_LISTED, StreamEntry};
use crate::formula::Formula;
use crate::names::FormulaContext;
use crate::node::Node;
use crate::stream::{Over, Slot, StreamCall, StreamFunction};

/// The most rows that `"N rows"` and `prev(x, n)` may ask for.
const MOST_ROWS: u32 = 100_000;

/// The parts of a call before they are checked against its function.
pub(super) struct Parts {
    pub(super) arguments: Vec<(Formula, bool)>,
    pub(super) constant: Option<f64>,
    pub(super) over: Option<Over>,
    pub(super) nulls: bool,
}

impl Lowering<'_> {
    /// Whether `min` and `max` mean rows here and not two numbers: by a text, a single argument, or (in a window) a filter.
    pub(super) fn is_stream_form(&self, args: &[Expr]) -> bool {
        match args {
            [_] => true,
            [_, second] => {
                matches!(second, Expr::StringConstant(..))
                    || (self.context == FormulaContext::WindowEmit && looks_like_condition(second))
            }
            [_, second, _] => matches!(second, Expr::StringConstant(..)),
            _ => false,
        }
    }

    /// A call of a stream function as a slot.
    pub(super) fn lower_stream(
        &mut self,
        function: StreamFunction,
        args: &[Expr],
        at: Position,
    ) -> Node {
        if let StreamFunction::State(function) = function {
            return self.lower_state(function, args, None, at);
        }
        let before = self.problems.len();
        let entry = StreamEntry::of(function);
        if self.inside_function {
            return self.problem(
                at,
                format!(
                    "`{function}` looks at more than one row and cannot stand inside a function"
                ),
                "pass its value to the function",
            );
        }
        let Some(parts) = self.parts(function, args, at) else {
            return Node::Missing;
        };
        let call = match self.context {
            FormulaContext::RowFilter => {
                return self.problem(
                    at,
                    format!("`{function}` looks at more than one row; here only this row counts"),
                    "use metrics, `time` and functions of numbers and text",
                );
            }
            FormulaContext::Condition => self.in_condition(entry, parts, at),
            FormulaContext::WindowEmit => self.in_window(entry, parts, at),
        };
        match call {
            Some(call) if self.problems.len() == before => self.slot(Slot::Stream(call)),
            _ => Node::Missing,
        }
    }

    /// Tells arguments from durations and words. `None` after a problem.
    fn parts(&mut self, function: StreamFunction, args: &[Expr], at: Position) -> Option<Parts> {
        let mut parts = Parts {
            arguments: Vec::new(),
            constant: None,
            over: None,
            nulls: false,
        };
        let entry = StreamEntry::of(function);
        let constant = entry.constant;
        for argument in args {
            let due = constant != Constant::Nothing && parts.constant.is_none();
            match argument {
                Expr::StringConstant(text, _)
                    if text == "nulls"
                        && matches!(
                            function,
                            StreamFunction::First | StreamFunction::Last | StreamFunction::Collect
                        ) =>
                {
                    parts.nulls = true;
                }
                literal if due && parts.arguments.len() >= entry.arguments.0 => {
                    parts.constant = Some(self.constant(function, constant, literal)?);
                }
                Expr::StringConstant(text, at) => {
                    let over = self.over(text, *at)?;
                    if parts.over.replace(over).is_some() {
                        self.problem(*at, format!("`{function}` takes one duration"), "");
                        return None;
                    }
                }
                Expr::IntegerConstant(rows, at)
                    if function == StreamFunction::Prev && !parts.arguments.is_empty() =>
                {
                    let rows = u32::try_from(*rows)
                        .ok()
                        .filter(|n| (1..=MOST_ROWS).contains(n));
                    match rows {
                        Some(rows) => parts.over = Some(Over::Rows(rows)),
                        None => {
                            self.problem(
                                *at,
                                format!("`prev` goes 1 to {MOST_ROWS} rows back"),
                                "",
                            );
                            return None;
                        }
                    }
                }
                other => parts.arguments.push(self.row_formula(other)?),
            }
        }
        if constant != Constant::Nothing && parts.constant.is_none() {
            let problem = format!("`{function}` needs {}", wanted(constant));
            self.problem(at, problem, format!("write `{}`", entry.signature));
            return None;
        }
        Some(parts)
    }

    /// The literal of `percentile` and `top`.
    fn constant(
        &mut self,
        function: StreamFunction,
        constant: Constant,
        literal: &Expr,
    ) -> Option<f64> {
        let number = match literal {
            Expr::IntegerConstant(whole, _) => i32::try_from(*whole).ok().map(f64::from),
            Expr::FloatConstant(number, _) => Some(**number),
            Expr::StringConstant(text, _) if constant == Constant::Lag => {
                let span = text.trim().parse::<Span>().ok();
                #[allow(clippy::cast_precision_loss, reason = "durations are exact in a float")]
                span.map(|span| span.0 as f64)
            }
            _ => None,
        };
        let fits = |number: &f64| match constant {
            Constant::Percent => (0.0..=100.0).contains(number),
            Constant::Lag => matches!(literal, Expr::StringConstant(..)) && *number >= 1.0,
            _ => (1.0..=MOST_LISTED).contains(number) && number.fract() == 0.0,
        };
        let number = number.filter(fits);
        if number.is_none() {
            let at = literal.start_position();
            let signature = StreamEntry::of(function).signature;
            self.problem(
                at,
                format!("`{function}` needs {} here", wanted(constant)),
                format!("write `{signature}`"),
            );
        }
        number
    }

    /// An argument: a formula over one row, and whether it is a condition by its form.
    pub(super) fn row_formula(&mut self, argument: &Expr) -> Option<(Formula, bool)> {
        // Over a window the known names are columns of the result; arguments speak of metrics.
        let known = self
            .known
            .filter(|_| self.context == FormulaContext::Condition);
        let mut inner = Lowering::new(FormulaContext::RowFilter, known, &[]);
        inner.aliases = self.aliases;
        inner.inside_stream = true;
        let mut node = inner.lower(argument);
        let failed = !inner.problems.is_empty();
        self.problems.append(&mut inner.problems);
        if failed {
            return None;
        }
        if !node.is_plain() {
            self.problem(
                argument.start_position(),
                "an argument of a stream function must be a plain expression",
                "use metrics, operators and functions of the catalogue only",
            );
            return None;
        }
        node.numbers_only();
        let condition = node.is_condition();
        Some((
            Formula::of_node(node, inner.slots, FormulaContext::RowFilter),
            condition,
        ))
    }

    /// `"5m"`, `"5 rows"`, `"all"`.
    fn over(&mut self, text: &str, at: Position) -> Option<Over> {
        let trimmed = text.trim();
        if trimmed == "all" {
            return Some(Over::All);
        }
        let rows = trimmed
            .strip_suffix("rows")
            .or_else(|| trimmed.strip_suffix("row"));
        if let Some(count) = rows.map(str::trim) {
            if let Some(rows) = count.parse().ok().filter(|n| (1..=MOST_ROWS).contains(n)) {
                return Some(Over::Rows(rows));
            }
            self.problem(
                at,
                format!("`{text}` is not 1 to {MOST_ROWS} rows"),
                "write `\"5 rows\"`",
            );
            return None;
        }
        match trimmed.parse::<Span>() {
            Ok(span) => Some(Over::Span(span)),
            Err(_) if crate::names::is_plain_metric(trimmed) => {
                self.problem(
                    at,
                    format!("`\"{trimmed}\"` is a text, neither a metric nor a duration"),
                    format!("a metric stands without quotes: `{trimmed}`"),
                );
                None
            }
            Err(error) => {
                self.problem(at, error.to_string(), "or `\"5 rows\"` or `\"all\"`");
                None
            }
        }
    }

    fn in_condition(
        &mut self,
        entry: &StreamEntry,
        parts: Parts,
        at: Position,
    ) -> Option<StreamCall> {
        let name = entry.function.name();
        let parts = match self.of_group(entry, parts, at) {
            GroupForm::None(parts) => parts,
            GroupForm::Call(call) => return call,
        };
        let over = match (entry.lookback, parts.over) {
            (Lookback::Rows, Some(Over::Span(_) | Over::Rows(_)))
                if entry.function == StreamFunction::ApproxDistinct =>
            {
                self.problem(
                    at,
                    "`approx_distinct` cannot forget single rows",
                    "use `count_distinct`, or `\"all\"` in place of the duration",
                );
                return None;
            }
            (Lookback::Rows, Some(over)) => over,
            (Lookback::Rows, None) => {
                let first = parts
                    .arguments
                    .first()
                    .map(|(x, _)| x.normal_text().to_string());
                let written = match first {
                    Some(_) if parts.arguments.len() > 1 => entry.signature.to_owned(),
                    Some(first) => format!("{name}({first}, \"5m\")"),
                    None => format!("{name}(\"5m\")"),
                };
                self.problem(
                    at,
                    format!("`{name}` needs to know over which time"),
                    format!("write `{written}`"),
                );
                return None;
            }
            (Lookback::Span, Some(Over::Span(span))) => Over::Span(span),
            (Lookback::Span, _) => {
                self.problem(
                    at,
                    format!("`{name}` needs a duration"),
                    format!("write `{}`", entry.signature),
                );
                return None;
            }
            (Lookback::Maybe, over) => over.unwrap_or(Over::Previous),
            (Lookback::Back, Some(Over::Rows(rows))) if rows > 1 => Over::Rows(rows),
            (Lookback::Back, None | Some(Over::Rows(_))) | (Lookback::Never, None) => {
                Over::Previous
            }
            (Lookback::Back | Lookback::Never, Some(_)) => {
                self.problem(
                    at,
                    format!("`{name}` takes no duration"),
                    format!("write `{}`", entry.signature),
                );
                return None;
            }
        };
        self.finish(entry, parts, over, at)
    }

    fn in_window(&mut self, entry: &StreamEntry, parts: Parts, at: Position) -> Option<StreamCall> {
        let name = entry.function.name();
        if !entry.in_window {
            self.problem(
                at,
                format!("`{name}` has no meaning over a window"),
                "use it in a rule with `when`",
            );
            return None;
        }
        if parts.over.is_some() {
            self.problem(
                at,
                format!("`{name}` here works over the rule's window and takes no duration"),
                "leave the duration out",
            );
            return None;
        }
        self.finish(entry, parts, Over::Window, at)
    }

    /// Tells the filter from the arguments and counts them.
    pub(super) fn finish(
        &mut self,
        entry: &StreamEntry,
        parts: Parts,
        over: Over,
        at: Position,
    ) -> Option<StreamCall> {
        let function = entry.function;
        let mut given = parts.arguments;
        if function == StreamFunction::Count
            && given.first().is_some_and(|(_, condition)| *condition)
        {
            let text = given
                .first()
                .map(|(x, _)| x.normal_text().to_string())
                .unwrap_or_default();
            self.problem(
                at,
                "`count` counts rows or values, not conditions",
                format!("write `count_if({text}, …)`"),
            );
            return None;
        }
        let (least, most) = entry.arguments;
        let mut filter = None;
        let condition = given.last().is_some_and(|(_, condition)| *condition);
        let spare = given.len() > least && condition && least < most;
        if entry.filter && (given.len() == most + 1 || spare) {
            filter = given.pop();
        }
        if !(least..=most).contains(&given.len()) {
            self.wrong_count(
                entry.signature,
                given.len() + usize::from(filter.is_some()),
                at,
            );
            return None;
        }
        if let Some((filter, false)) = &filter {
            let text = filter.normal_text();
            self.problem(
                at,
                format!("`{text}` is no condition"),
                "the last argument filters rows: `avg(x, y > 3.0)`",
            );
            return None;
        }
        let arguments: Vec<Formula> = given.into_iter().map(|(formula, _)| formula).collect();
        let filter = filter.map(|(formula, _)| formula);
        let text = text(
            function,
            &arguments,
            parts.constant,
            (over, parts.nulls),
            filter.as_ref(),
        );
        Some(StreamCall {
            function,
            arguments,
            constant: parts.constant,
            parameters: Vec::new(),
            filter,
            over,
            nulls: parts.nulls,
            text: Arc::from(text),
        })
    }
}

/// What a literal has to be.
const fn wanted(constant: Constant) -> &'static str {
    match constant {
        Constant::Nothing => "nothing",
        Constant::Percent => "a literal number from 0 to 100",
        Constant::Most => "a literal whole number from 1 to 1000",
        Constant::Lag => "a duration to lag by",
    }
}

/// The normal text of a call.
fn text(
    function: StreamFunction,
    arguments: &[Formula],
    constant: Option<f64>,
    (over, nulls): (Over, bool),
    filter: Option<&Formula>,
) -> String {
    let mut parts: Vec<String> = arguments
        .iter()
        .map(|x| x.normal_text().to_string())
        .collect();
    parts.extend(constant.map(|constant| format!("#{constant}")));
    let over = over.to_string();
    if !over.is_empty() {
        parts.push(over);
    }
    if nulls {
        parts.push("nulls".to_owned());
    }
    parts.extend(filter.map(|filter| format!("where {}", filter.normal_text())));
    format!("{function}({})", parts.join(","))
}

/// Whether an expression says true or false by its form alone.
fn looks_like_condition(expr: &Expr) -> bool {
    match expr {
        Expr::And(..) | Expr::Or(..) | Expr::BoolConstant(..) => true,
        Expr::FnCall(call, _) => {
            let name = call.name.as_str();
            name == "!"
                || crate::node::Operator::from_symbol(name)
                    .is_some_and(crate::node::Operator::is_comparison)
                || crate::scalar::Scalar::find(name).is_some_and(|scalar| scalar.gives_flag)
        }
        _ => false,
    }
}
