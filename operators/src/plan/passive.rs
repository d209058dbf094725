//! Passive inputs make no rows, so nothing over rows can be asked of them alone.

use tidegate_proto::{Body, FormulaText, Issue, Issues, Rule};
use tidegate_scripts::{Formula, FormulaContext, Slot, StreamCall};

/// Tells aggregates of a window whose every row would be one of a passive input.
pub(super) fn refuse(rule: &Rule, issues: &mut Issues) {
    let inputs = rule.across.inputs.iter().filter(|input| input.passive);
    let passive: Vec<&str> = inputs.map(|input| input.name.as_ref()).collect();
    let Body::Window(window) = &rule.body else {
        return;
    };
    if passive.is_empty() {
        return;
    }
    let texts = window.emit.iter().map(|(_, text)| text);
    for text in texts.chain(&window.having) {
        let Ok(formula) = Formula::compile(text, FormulaContext::WindowEmit) else {
            continue;
        };
        for slot in formula.slots() {
            if let Slot::Stream(call) = slot
                && let Some(input) = asked(call, &passive)
            {
                issues.push(issue(text, &call.function.to_string(), input));
            }
        }
    }
}

/// The passive input that an aggregate asks for, and nothing else.
fn asked<'a>(call: &StreamCall, passive: &[&'a str]) -> Option<&'a str> {
    let slots = call.arguments.iter().flat_map(Formula::slots);
    let mut found = None;
    for slot in slots {
        let Slot::Metric(name) = slot else {
            return None;
        };
        found = Some(*passive.iter().find(|input| **input == name.as_ref())?);
    }
    found
}

fn issue(text: &FormulaText, function: &str, input: &str) -> Issue {
    let problem =
        format!("`{function}` works over rows, and the passive input `{input}` makes none");
    let hint = format!("leave `passive` out, or ask for the value alone: `{input}`");
    Issue::new(text.path.as_ref(), text.mark, problem).hint(hint)
}
