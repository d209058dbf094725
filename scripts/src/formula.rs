//! [`Formula`]: a compiled expression over slots, evaluated for a row or over columns.

use std::fmt;
use std::sync::Arc;

use rhai::Expr;
use tidegate_proto::issue::Issue;
use tidegate_proto::{FormulaText, Mark, Value};

use crate::alias::AliasScope;
use crate::column::Column;
use crate::emit::to_expr;
use crate::error::{ScriptError, line_column};
use crate::lower::{Lowering, Problem, author_names, lower_functions};
use crate::names::FormulaContext;
use crate::node::{Node, Operator};
use crate::runtime::{AuthorFunction, Machine};
use crate::sandbox;
use crate::stream::Slot;

/// A compiled formula. Cloning is cheap; two formulas with the same normal text give the same values.
#[derive(Clone)]
pub struct Formula {
    inner: Arc<Inner>,
}

struct Inner {
    text: Arc<str>,
    context: FormulaContext,
    slots: Vec<Slot>,
    /// The expression when it is one; `None` for scripts.
    node: Option<Node>,
    body: Expr,
    functions: Arc<[AuthorFunction]>,
    program: Option<crate::columnar::Program>,
}

/// What a formula gave over columns.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// One value per row; null where the value is `()` or the row has an error.
    pub column: Column,
    /// Rows without a value because of an error, rising.
    pub errors: Vec<(u32, ScriptError)>,
}

/// A formula of the form `left op constant`: ten thousand rules of one shape are one lookup.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// What is compared; its normal text names the shape. `()` makes the comparison unknown; where it gives neither a
    /// float nor a count (a text, a flag), the whole formula says what the error is.
    pub left: Formula,
    /// How.
    pub operator: ThresholdOperator,
    /// With what; never NaN.
    pub constant: f64,
}

/// How a threshold compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThresholdOperator {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Formula {
    /// Compiles a formula.
    ///
    /// # Errors
    /// Every problem found, in the order of the text.
    pub fn compile(text: &FormulaText, context: FormulaContext) -> Result<Self, Vec<Issue>> {
        Self::compile_known(text, context, None)
    }

    /// Compiles a formula where the caller knows every metric that exists (columns of a window's result, for instance):
    /// other names are problems.
    ///
    /// # Errors
    /// Every problem found, in the order of the text.
    pub fn compile_known(
        text: &FormulaText,
        context: FormulaContext,
        known: Option<&[Arc<str>]>,
    ) -> Result<Self, Vec<Issue>> {
        let scope = Scope {
            known,
            ..Scope::default()
        };
        Self::compile_in(text, context, scope)
    }

    /// Compiles a formula of a pattern, which may ask for rows that are bound.
    ///
    /// # Errors
    /// Every problem found, in the order of the text.
    pub fn compile_aliased(
        text: &FormulaText,
        context: FormulaContext,
        aliases: &AliasScope,
    ) -> Result<Self, Vec<Issue>> {
        let scope = Scope {
            aliases: Some(aliases),
            ..Scope::default()
        };
        Self::compile_in(text, context, scope)
    }

    fn compile_in(
        text: &FormulaText,
        context: FormulaContext,
        scope: Scope<'_>,
    ) -> Result<Self, Vec<Issue>> {
        compile_source(&text.source, context, scope).map_err(|problems| {
            let issue = |problem: &Problem| to_issue(text, problem);
            problems.iter().map(issue).collect()
        })
    }

    /// A formula of an expression without statements.
    pub(crate) fn of_node(node: Node, slots: Vec<Slot>, context: FormulaContext) -> Self {
        let text = Arc::from(node.text(&slots));
        let inner = Inner {
            text,
            context,
            slots,
            body: to_expr(&node),
            functions: Arc::from([]),
            program: crate::columnar::Program::compile(&node),
            node: Some(node),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same formula over metrics of other names.
    #[must_use]
    pub fn with_metrics(&self, rename: &dyn Fn(&str) -> Arc<str>) -> Self {
        let old = &self.inner;
        let slots = old.slots.iter().map(|slot| match slot {
            Slot::Metric(name) => Slot::Metric(rename(name)),
            Slot::Stream(call) => Slot::Stream(call.with_metrics(rename)),
            other => other.clone(),
        });
        let slots: Vec<Slot> = slots.collect();
        if let Some(node) = &old.node {
            return Self::of_node(node.clone(), slots, old.context);
        }
        let names: Vec<String> = slots.iter().map(ToString::to_string).collect();
        let inner = Inner {
            text: Arc::from(format!("{} of {}", old.text, names.join(", "))),
            context: old.context,
            slots,
            node: None,
            body: old.body.clone(),
            functions: Arc::clone(&old.functions),
            program: None,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What it needs values for, in the order that `evaluate` takes them.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.inner.slots
    }

    /// The expression without blanks, comments and needless parentheses; equal texts mean equal formulas.
    #[must_use]
    pub fn normal_text(&self) -> &Arc<str> {
        &self.inner.text
    }

    /// Where it stands.
    #[must_use]
    pub fn context(&self) -> FormulaContext {
        self.inner.context
    }

    /// Whether it can run over columns (given columns of types that fit).
    #[must_use]
    pub fn is_columnar(&self) -> bool {
        self.inner.program.is_some()
    }

    /// Types that cannot fit each other whatever a row holds, as issues of the text; `condition`: the whole must say true or
    /// false. A formula with statements is judged row by row alone.
    #[must_use]
    pub fn mismatches(&self, text: &FormulaText, condition: bool) -> Vec<Issue> {
        let node = self.inner.node.as_ref();
        let slots = self.slots();
        let found = node.map(|node| crate::kind::mismatches(node, slots, condition));
        let found = found.unwrap_or_default();
        found
            .iter()
            .map(|problem| to_issue(text, problem))
            .collect()
    }

    /// What is wrong with it where a list is wanted.
    #[must_use]
    pub fn never_a_list(&self, text: &FormulaText) -> Option<Issue> {
        let problem = crate::kind::never_a_list(self.node()?, self.slots())?;
        Some(to_issue(text, &problem))
    }

    /// Whether it says true or false whenever it says anything, as far as its text tells.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        let node = self.inner.node.as_ref();
        node.is_some_and(crate::kind::is_flag)
    }

    /// The value for one row, always by way of Rhai: the reference. Slots beyond `values` are `()`.
    ///
    /// # Errors
    /// When the row's values do not fit, or a budget ran out.
    pub fn evaluate_row(&self, values: &[Value]) -> Result<Value, ScriptError> {
        let values = (0..self.inner.slots.len()).map(|slot| values.get(slot).cloned());
        self.machine().run(values.map(Option::unwrap_or_default))
    }

    /// The value for one row as Rhai has it: what a script gives may be a map.
    pub(crate) fn evaluate_dynamic(
        &self,
        values: impl Iterator<Item = Value>,
    ) -> Result<rhai::Dynamic, ScriptError> {
        self.machine().run_dynamic(values)
    }

    /// The values for `rows` rows: over columns when the formula and the types of the columns allow, otherwise row by
    /// row, with the same result. Columns that are missing or too short are `()`.
    #[must_use]
    pub fn evaluate(&self, columns: &[Column], rows: usize) -> Evaluated {
        let whole = self.inner.program.as_ref();
        if let Some(evaluated) = whole.and_then(|program| program.run(self, columns, rows)) {
            return evaluated;
        }
        let mut values = Vec::with_capacity(rows);
        let mut errors = Vec::new();
        self.evaluate_range(columns, 0..rows, &mut values, &mut errors);
        Evaluated {
            column: Column::from_values(values),
            errors,
        }
    }

    /// Evaluates some rows one by one.
    pub(crate) fn evaluate_range(
        &self,
        columns: &[Column],
        rows: std::ops::Range<usize>,
        values: &mut Vec<Value>,
        errors: &mut Vec<(u32, ScriptError)>,
    ) {
        let mut machine = self.machine();
        for row in rows {
            let slots = 0..self.inner.slots.len();
            let given = slots.map(|slot| columns.get(slot).map(|column| column.value(row)));
            let value = machine.run(given.map(Option::unwrap_or_default));
            values.push(value.unwrap_or_else(|error| {
                errors.push((u32::try_from(row).unwrap_or(u32::MAX), error));
                Value::Missing
            }));
        }
    }

    /// The expression, when it is one.
    pub(crate) fn node(&self) -> Option<&Node> {
        self.inner.node.as_ref()
    }

    fn machine(&self) -> Machine<'_> {
        Machine::new(&self.inner.body, &self.inner.functions)
    }

    /// The formula as `left op constant`, if it is one: `op` one of `> >= < <=`, `left` a numeric expression that runs
    /// over columns.
    #[must_use]
    pub fn as_threshold(&self) -> Option<Threshold> {
        let Node::Binary(op, pair, _) = self.inner.node.as_ref()? else {
            return None;
        };
        let (left, Node::Number(constant)) = &**pair else {
            return None;
        };
        let operator = ThresholdOperator::of(*op)?;
        if left.is_literal() || left.is_condition() || matches!(left, Node::List(..)) {
            return None;
        }
        let formula = self.part(left);
        formula.is_columnar().then_some(Threshold {
            left: formula,
            operator,
            constant: *constant,
        })
    }

    /// The number, if the formula is nothing but one.
    #[must_use]
    pub fn constant(&self) -> Option<f64> {
        match self.inner.node.as_ref()? {
            Node::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Comparisons of a slot alone with a number, wherever they stand in the formula: number of the slot, how, with what.
    #[must_use]
    pub fn comparisons(&self) -> Vec<(usize, ThresholdOperator, f64)> {
        let mut found = Vec::new();
        if let Some(node) = &self.inner.node {
            comparisons(node, &mut found);
        }
        found
    }

    /// A part of this formula as a formula of its own, with the slots that it uses.
    pub(crate) fn part(&self, node: &Node) -> Self {
        let mut used: Vec<usize> = Vec::new();
        let mut node = node.clone();
        node.renumber(&mut |old| {
            let at = used.iter().position(|known| *known == old);
            at.unwrap_or_else(|| {
                used.push(old);
                used.len() - 1
            })
        });
        let slots = used
            .iter()
            .filter_map(|old| self.inner.slots.get(*old).cloned());
        Self::of_node(node, slots.collect(), self.inner.context)
    }
}

fn comparisons(node: &Node, found: &mut Vec<(usize, ThresholdOperator, f64)>) {
    if let Node::Binary(op, pair, _) = node
        && let (Node::Slot(slot), Node::Number(number)) = &**pair
        && let Some(operator) = ThresholdOperator::of(*op)
    {
        found.push((*slot, operator, *number));
    }
    node.each(&mut |child| comparisons(child, found));
}

impl ThresholdOperator {
    fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Less => Some(Self::Less),
            Operator::LessEqual => Some(Self::LessEqual),
            Operator::Greater => Some(Self::Greater),
            Operator::GreaterEqual => Some(Self::GreaterEqual),
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder
            | Operator::Power
            | Operator::Equal
            | Operator::Unequal => None,
        }
    }

    /// Whether `left op constant` holds.
    #[must_use]
    pub fn holds(self, left: f64, constant: f64) -> bool {
        match self {
            Self::Less => left < constant,
            Self::LessEqual => left <= constant,
            Self::Greater => left > constant,
            Self::GreaterEqual => left >= constant,
        }
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text && self.inner.slots == other.inner.slots
    }
}

impl Eq for Formula {}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Formula({})", self.inner.text)
    }
}

/// Names that a formula can see beside metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    /// Every metric that exists, when the caller knows them all.
    pub(crate) known: Option<&'a [Arc<str>]>,
    /// Rows that a pattern has bound.
    pub(crate) aliases: Option<&'a AliasScope>,
    /// Nothing is known of where it stands: only what is wrong everywhere is looked for.
    pub(crate) anywhere: bool,
}

/// Compiles a source; problems keep their places inside it.
pub(crate) fn compile_source(
    source: &str,
    context: FormulaContext,
    scope: Scope<'_>,
) -> Result<Formula, Vec<Problem>> {
    if source.len() > sandbox::SOURCE_BYTES {
        return Err(vec![Problem {
            at: rhai::Position::NONE,
            problem: "the formula is longer than 64 KiB".into(),
            hint: String::new(),
        }]);
    }
    let ast = sandbox::parse(source)
        .map_err(|error| vec![crate::wording::parse_problem(&error, source)])?;
    let names = author_names(&ast);
    if scope.anywhere {
        let found = crate::anywhere::unknown_functions(&ast, &names);
        if !found.is_empty() {
            return Err(found);
        }
        return Ok(Formula::of_node(Node::Missing, Vec::new(), context));
    }
    let (functions, mut problems) = lower_functions(&ast, &names, context);
    for name in &names {
        if crate::catalogue::function_names().any(|known| known == name.name.as_str()) {
            problems.push(Problem {
                at: rhai::Position::NONE,
                problem: format!("`{}` is a function of the catalogue", name.name),
                hint: "give your function another name".into(),
            });
        }
    }
    let mut lowering = Lowering::new(context, scope.known, &names);
    lowering.aliases = scope.aliases;
    let node = lowering.lower_body(ast.statements());
    problems.append(&mut lowering.problems);
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.at);
        return Err(problems);
    }
    if node.is_plain() && functions.is_empty() {
        return Ok(Formula::of_node(node, lowering.slots, context));
    }
    let inner = Inner {
        text: Arc::from(sandbox::compact(source)),
        context,
        slots: lowering.slots,
        body: to_expr(&node),
        functions,
        program: None,
        node: None,
    };
    Ok(Formula {
        inner: Arc::new(inner),
    })
}

/// A problem as an issue of the document that the text stands in.
pub(crate) fn to_issue(text: &FormulaText, problem: &Problem) -> Issue {
    let (line, column) = line_column(problem.at);
    let start = text.mark;
    let mark = match (start.line, line) {
        (_, 0) => start,
        // A message over the wire has no lines of its own: the place inside the formula is what there is to tell.
        (0, _) => Mark { line, column },
        (_, 1) => Mark {
            line: start.line,
            column: start.column + column.saturating_sub(1),
        },
        _ => Mark {
            line: start.line + line - 1,
            column,
        },
    };
    Issue::new(text.path.as_ref(), mark, problem.problem.as_str()).hint(problem.hint.as_str())
}
