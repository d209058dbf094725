//! Calls of state functions: formulas first, then literals, each of the form that its place asks for.

use std::sync::Arc;

use rhai::{Expr, FnCallExpr, Position};
use tidegate_proto::{Span, Zone};

use super::Lowering;
use crate::catalogue::states;
use crate::formula::Formula;
use crate::names::FormulaContext;
use crate::node::Node;
use crate::state::{Form, Parameter, Part, StateFunction};
use crate::stream::{Over, Slot, StreamCall, StreamFunction};

/// The parts of a call as they are read.
#[derive(Default)]
struct Read {
    arguments: Vec<Formula>,
    parameters: Vec<Parameter>,
    over: Option<Span>,
}

impl Lowering<'_> {
    /// A call of a state function as a slot; `part` names one number of several.
    pub(super) fn lower_state(
        &mut self,
        function: StateFunction,
        args: &[Expr],
        part: Option<Part>,
        at: Position,
    ) -> Node {
        if !self.may_look_around(function, at) {
            return Node::Missing;
        }
        let signature = states::of(function).signature;
        if function.has_parts() && part.is_none() {
            let call = signature.split(").").next().unwrap_or(signature);
            let hint = format!("write `{call}).value`, `.low` or `.high`");
            return self.problem(at, format!("`{function}` gives several numbers"), hint);
        }
        let (forms, least) = function.forms();
        if !(least..=forms.len()).contains(&args.len()) {
            return self.wrong_count(signature, args.len(), at);
        }
        let before = self.problems.len();
        let mut read = Read::default();
        for (form, argument) in forms.iter().zip(args) {
            self.read_argument(function, *form, argument, &mut read);
        }
        if self.problems.len() > before {
            return Node::Missing;
        }
        if let Some((problem, hint)) = function.contradiction(&read.parameters) {
            return self.problem(at, problem, hint);
        }
        let text = text(function, &read, part);
        read.parameters.extend(part.map(Parameter::Part));
        self.slot(Slot::Stream(StreamCall {
            function: StreamFunction::State(function),
            arguments: read.arguments,
            constant: None,
            parameters: read.parameters,
            filter: None,
            over: read.over.map_or(Over::Previous, Over::Span),
            nulls: false,
            text: Arc::from(text),
        }))
    }

    /// Whether the formula may ask for more than one row, and does so in a condition.
    fn may_look_around(&mut self, function: StateFunction, at: Position) -> bool {
        let (problem, hint) = if self.inside_function {
            (
                format!(
                    "`{function}` looks at more than one row and cannot stand inside a function"
                ),
                "pass its value to the function",
            )
        } else {
            match self.context {
                FormulaContext::Condition => return true,
                FormulaContext::RowFilter => (
                    format!("`{function}` looks at more than one row; here only this row counts"),
                    "use metrics, `time` and functions of numbers and text",
                ),
                FormulaContext::WindowEmit => (
                    format!("`{function}` has no meaning over a window"),
                    "use it in a rule with `when`",
                ),
            }
        };
        self.problem(at, problem, hint);
        false
    }

    fn read_argument(
        &mut self,
        function: StateFunction,
        form: Form,
        argument: &Expr,
        read: &mut Read,
    ) {
        let number = literal(argument);
        let parameter = match (form, argument, number) {
            (Form::Formula, Expr::StringConstant(..), _) => None,
            (Form::Formula, ..) => {
                if let Some((formula, _)) = self.row_formula(argument) {
                    read.arguments.push(formula);
                }
                return;
            }
            (Form::Whole(least, most), _, Some(number)) => {
                let good =
                    number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number);
                good.then_some(Parameter::Number(number))
            }
            (Form::Number(above, most), _, Some(number)) => {
                (number > above && number <= most).then_some(Parameter::Number(number))
            }
            (Form::SpanOrShare, _, Some(number)) => {
                (number > 0.0 && number <= 1.0).then_some(Parameter::Number(number))
            }
            (Form::Span | Form::SpanOrShare, Expr::StringConstant(text, at), _) => {
                match text.parse::<Span>() {
                    Ok(span) => Some(Parameter::Span(span)),
                    Err(error) => {
                        self.problem(*at, error.to_string(), "");
                        return;
                    }
                }
            }
            (Form::Zone, Expr::StringConstant(text, at), _) => match Zone::new(text) {
                Ok(zone) => Some(Parameter::Zone(zone)),
                Err(error) => {
                    self.problem(*at, error.to_string(), "");
                    return;
                }
            },
            _ => None,
        };
        let Some(parameter) = parameter else {
            let signature = states::of(function).signature;
            let hint = match (form, argument) {
                (Form::Formula, Expr::StringConstant(text, _))
                    if crate::names::is_plain_metric(text) =>
                {
                    format!("a metric stands without quotes: `{text}`")
                }
                _ => format!("write `{signature}`"),
            };
            self.problem(
                argument.start_position(),
                format!("`{function}` needs {} here", form.wanted()),
                hint,
            );
            return;
        };
        if let (Parameter::Span(span), None) = (&parameter, read.over) {
            read.over = Some(*span);
        }
        read.parameters.push(parameter);
    }

    /// `holt_winters(…).high`: a call and the part of it that is asked for.
    pub(super) fn lower_part(
        &mut self,
        call: &FnCallExpr,
        property: &str,
        at: Position,
    ) -> Option<Node> {
        let function = StateFunction::ALL
            .into_iter()
            .find(|function| function.has_parts() && function.name() == call.name.as_str())?;
        let part = Part::ALL.into_iter().find(|(name, _)| *name == property);
        Some(match part {
            Some((_, part)) => self.lower_state(function, &call.args, Some(part), at),
            None => self.problem(
                at,
                format!("`{function}` has no `{property}`"),
                "it has `.value`, `.low` and `.high`",
            ),
        })
    }
}

/// A literal number, also one with a minus sign.
fn literal(expr: &Expr) -> Option<f64> {
    match expr {
        #[allow(
            clippy::cast_precision_loss,
            reason = "whole literals beyond 2^53 are refused by every form"
        )]
        Expr::IntegerConstant(whole, _) => Some(*whole as f64),
        Expr::FloatConstant(number, _) => Some(**number),
        Expr::FnCall(call, _) if call.name == "-" => match call.args.as_slice() {
            [only] => literal(only).map(|number| -number),
            _ => None,
        },
        _ => None,
    }
}

/// The normal text of a call, which is also how people read it: literals stand behind the formulas, as in every signature.
fn text(function: StateFunction, read: &Read, part: Option<Part>) -> String {
    let formulas = read.arguments.iter().map(|x| Arc::clone(x.normal_text()));
    let parts: Vec<Arc<str>> = formulas
        .chain(read.parameters.iter().map(Parameter::write))
        .collect();
    let name = Part::ALL.iter().find(|(_, known)| Some(*known) == part);
    let behind = name.map_or_else(String::new, |(name, _)| format!(".{name}"));
    format!("{function}({}){behind}", parts.join(","))
}
