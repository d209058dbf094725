//! What prepared expressions do while Rhai runs them. The lowering puts custom nodes where operators, slots and functions
//! stood; here is what each of them does, and how one row is run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::{
    Caches, CustomExpr, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, FnArgsVec,
    GlobalRuntimeState, ImmutableString, Position, Scope,
};
use tidegate_proto::Value;

use crate::error::ScriptError;
use crate::node::Operator;
use crate::sandbox;
use crate::scalar::{Failure, Scalar};
use crate::value;

type Outcome = Result<Dynamic, Box<EvalAltResult>>;

/// What a custom node does: with its context, its operands not yet evaluated, and its state.
type Handler = fn(&mut EvalContext<'_, '_, '_, '_, '_, '_>, &[Expression<'_>], &Dynamic) -> Outcome;

/// Keys of the custom nodes; none of them can be written in a script.
pub(crate) mod key {
    pub(crate) const SLOT: &str = "$slot";
    pub(crate) const BINARY: &str = "$binary";
    pub(crate) const AND: &str = "$and";
    pub(crate) const OR: &str = "$or";
    pub(crate) const NOT: &str = "$not";
    pub(crate) const NEGATE: &str = "$negate";
    pub(crate) const COALESCE: &str = "$coalesce";
    pub(crate) const CALL: &str = "$call";
    pub(crate) const AUTHOR: &str = "$author";
    pub(crate) const PAY: &str = "$pay";
}

/// A function that the author of a formula wrote.
#[derive(Debug)]
pub(crate) struct AuthorFunction {
    pub(crate) parameters: Vec<ImmutableString>,
    pub(crate) body: Expr,
}

/// What custom nodes find in the engine's tag.
#[derive(Clone)]
struct Frame {
    slots: Vec<Dynamic>,
    functions: Arc<[AuthorFunction]>,
}

/// A node's number and its place in one whole number: Rhai tells its handlers nothing else.
fn pack(code: i64, at: Position) -> i64 {
    let part = |part: Option<usize>| part.and_then(|x| i64::try_from(x).ok()).unwrap_or(0);
    code | (part(at.position()) & 0xFFFF) << 16 | (part(at.line()) & 0xFFFF) << 32
}

/// The number in a node's state.
fn code(state: &Dynamic) -> i64 {
    state.as_int().unwrap_or(-1) & 0xFFFF
}

/// The place in a node's state.
fn place(state: &Dynamic) -> Position {
    let state = state.as_int().unwrap_or(0);
    let part = |shift: u32| u16::try_from((state >> shift) & 0xFFFF).unwrap_or(0);
    match part(32) {
        0 => Position::NONE,
        line => Position::new(line, part(16)),
    }
}

/// A custom node; `code` is below 65,536.
pub(crate) fn custom(key: &'static str, code: i64, inputs: FnArgsVec<Expr>, at: Position) -> Expr {
    let mut tokens = FnArgsVec::new();
    tokens.push(ImmutableString::from(key));
    Expr::Custom(
        Box::new(CustomExpr {
            inputs,
            tokens,
            state: Dynamic::from_int(pack(code, at)),
            scope_may_be_changed: false,
            self_terminated: false,
        }),
        at,
    )
}

/// Tells the engine what custom nodes do.
pub(crate) fn register(engine: &mut Engine) {
    let handlers: [(&'static str, Handler); 10] = [
        (key::SLOT, slot),
        (key::BINARY, binary),
        (key::AND, |context, inputs, state| {
            logic(context, inputs, state, false)
        }),
        (key::OR, |context, inputs, state| {
            logic(context, inputs, state, true)
        }),
        (key::NOT, not),
        (key::NEGATE, negate),
        (key::COALESCE, coalesce),
        (key::CALL, call),
        (key::AUTHOR, author),
        (key::PAY, pay),
    ];
    for (key, handler) in handlers {
        // The only error is a build of Rhai without a parser.
        let registered = engine.register_custom_syntax_handler(key, false, handler);
        debug_assert!(registered.is_ok());
    }
}

fn failure(message: impl Into<ImmutableString>, state: &Dynamic) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into().into(), place(state)).into()
}

fn slot(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    _inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let at = usize::try_from(code(state)).ok();
    let frame = context.tag().read_lock::<Frame>();
    let value = frame.and_then(|frame| frame.slots.get(at?).cloned());
    value.ok_or_else(|| failure("a slot without a value", state))
}

fn input(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    index: usize,
) -> Outcome {
    match inputs.get(index) {
        Some(input) => context.eval_expression_tree(input),
        None => Ok(Dynamic::UNIT),
    }
}

fn binary(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let left = input(context, inputs, 0)?;
    let right = input(context, inputs, 1)?;
    let op = Operator::from_code(code(state));
    let op = op.ok_or_else(|| failure("an unknown operator", state))?;
    let result = value::binary(op, &left, &right).map_err(|message| failure(message, state))?;
    charge(context, &result, state)?;
    Ok(result)
}

/// `&&` and `||` of three values: a decisive value ends it, otherwise one unknown makes the whole unknown.
fn logic(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
    decisive: bool,
) -> Outcome {
    let symbol = if decisive { "||" } else { "&&" };
    let mut result = Some(!decisive);
    for input in inputs {
        let value = context.eval_expression_tree(input)?;
        match value::truth(&value, symbol).map_err(|message| failure(message, state))? {
            Some(flag) if flag == decisive => return Ok(decisive.into()),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(value::from_truth(result))
}

fn not(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let value = input(context, inputs, 0)?;
    let truth = value::truth(&value, "!").map_err(|message| failure(message, state))?;
    Ok(value::from_truth(truth.map(|flag| !flag)))
}

fn negate(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let value = input(context, inputs, 0)?;
    value::negate(&value).map_err(|message| failure(message, state))
}

fn coalesce(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    _state: &Dynamic,
) -> Outcome {
    let mut value = Dynamic::UNIT;
    for input in inputs {
        value = context.eval_expression_tree(input)?;
        if !matches!(value::Operand::of(&value), value::Operand::Missing) {
            break;
        }
    }
    Ok(value)
}

fn call(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let scalar = Scalar::from_code(code(state));
    let scalar = scalar.ok_or_else(|| failure("an unknown function", state))?;
    let mut arguments = FnArgsVec::new();
    for input in inputs {
        let argument = context.eval_expression_tree(input)?;
        charge(context, &argument, state)?;
        arguments.push(argument);
    }
    let result = (scalar.run)(&arguments).map_err(|why| match why {
        Failure::Wrong(message) => failure(message, state),
        Failure::TooLarge => {
            EvalAltResult::ErrorDataTooLarge("Length of string".to_owned(), place(state)).into()
        }
    })?;
    charge(context, &result, state)?;
    Ok(result)
}

fn author(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let at = usize::try_from(code(state)).ok();
    let frame = context.tag().read_lock::<Frame>();
    let functions = frame.map(|frame| Arc::clone(&frame.functions));
    let function = at
        .zip(functions.as_ref())
        .and_then(|(at, functions)| functions.get(at));
    let function = function.ok_or_else(|| failure("an unknown function", state))?;
    let mut scope = Scope::new();
    for (input, name) in inputs.iter().zip(&function.parameters) {
        let argument = context.eval_expression_tree(input)?;
        charge(context, &argument, state)?;
        scope.push_dynamic(name.as_str(), argument);
    }
    if context.call_level() >= sandbox::CALL_LEVELS {
        return Err(EvalAltResult::ErrorStackOverflow(place(state)).into());
    }
    let engine = context.engine();
    let global = context.global_runtime_state_mut();
    global.level += 1;
    let mut caches = Caches::new();
    let result = returned(
        EvalContext::new(engine, global, &mut caches, &mut scope, None)
            .eval_expression_tree(&Expression::from(&function.body)),
    );
    global.level -= 1;
    result
}

/// A value that is about to be stored where Rhai does not check sizes.
fn pay(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    inputs: &[Expression<'_>],
    state: &Dynamic,
) -> Outcome {
    let value = input(context, inputs, 0)?;
    charge(context, &value, state)?;
    Ok(value)
}

/// Takes operations for the size of a value: one for each 64 bytes of text and each item of a list or map.
fn charge(
    context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
    value: &Dynamic,
    state: &Dynamic,
) -> Result<(), Box<EvalAltResult>> {
    let cost = weight(value);
    if cost == 0 {
        return Ok(());
    }
    let global = context.global_runtime_state_mut();
    global.num_operations = global.num_operations.saturating_add(cost);
    if global.num_operations > sandbox::OPERATIONS {
        return Err(EvalAltResult::ErrorTooManyOperations(place(state)).into());
    }
    Ok(())
}

fn weight(value: &Dynamic) -> u64 {
    if value.is_string() {
        let bytes = value.as_immutable_string_ref().map_or(0, |text| text.len());
        return (bytes / 64) as u64;
    }
    if value.is_array() {
        return value
            .as_array_ref()
            .map_or(0, |list| list.iter().map(|item| 1 + weight(item)).sum());
    }
    if value.is_map() {
        return value
            .as_map_ref()
            .map_or(0, |map| map.values().map(|item| 2 + weight(item)).sum());
    }
    0
}

/// What `return` gives is the value.
fn returned(result: Outcome) -> Outcome {
    match result {
        Err(error) => match *error {
            EvalAltResult::Return(value, _) => Ok(value),
            other => Err(other.into()),
        },
        ok => ok,
    }
}

/// Runs one prepared expression over row after row.
pub(crate) struct Machine<'f> {
    body: &'f Expr,
    global: GlobalRuntimeState,
    caches: Caches,
}

impl<'f> Machine<'f> {
    pub(crate) fn new(body: &'f Expr, functions: &Arc<[AuthorFunction]>) -> Self {
        let mut global = sandbox::engine().new_global_runtime_state();
        global.tag = Dynamic::from(Frame {
            slots: Vec::new(),
            functions: Arc::clone(functions),
        });
        Self {
            body,
            global,
            caches: Caches::new(),
        }
    }

    /// The value of the expression for a row of slot values.
    pub(crate) fn run(
        &mut self,
        values: impl Iterator<Item = Value>,
    ) -> Result<Value, ScriptError> {
        let result = self.run_dynamic(values)?;
        value::to_value(&result).map_err(|message| ScriptError::author(message, Position::NONE))
    }

    /// The same as Rhai has it: what it gives may be a map.
    pub(crate) fn run_dynamic(
        &mut self,
        values: impl Iterator<Item = Value>,
    ) -> Result<Dynamic, ScriptError> {
        if let Some(mut frame) = self.global.tag.write_lock::<Frame>() {
            frame.slots.clear();
            frame
                .slots
                .extend(values.map(|value| value::to_dynamic(&value)));
        }
        self.global.num_operations = 0;
        self.global.level = 0;
        self.global.scope_level = 0;
        self.global.always_search_scope = false;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut scope = Scope::new();
            let mut context = EvalContext::new(
                sandbox::engine(),
                &mut self.global,
                &mut self.caches,
                &mut scope,
                None,
            );
            returned(context.eval_expression_tree(&Expression::from(self.body)))
        }));
        let result = caught.map_err(|_| ScriptError::ours("the evaluation panicked"))?;
        result.map_err(|error| ScriptError::from_rhai(&error))
    }
}
