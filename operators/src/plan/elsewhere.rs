//! Sensors of graphs and elements of patterns that look at other resources: what they read are inputs that nobody had to name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::graph::GraphNodeKind;
use tidegate_proto::{Body, FormulaText, GroupOf, Input, InputSource, Rule, Selector};

use super::slots::{Form, SlotTable};

/// Column with the id of a row's resource.
pub(crate) const OF_RESOURCE: &str = "@resource";

/// The name of another resource's metric, as a table has it.
pub(crate) fn named(metric: &str, of: &str) -> Arc<str> {
    Arc::from(format!("{metric}@{of}"))
}

/// Whose rows a rule's sensors or elements look at, by what they are called.
fn sources(rule: &Rule) -> BTreeMap<Arc<str>, InputSource> {
    let mut sources = BTreeMap::new();
    match &rule.body {
        Body::Graph(graph) => {
            for node in &graph.nodes {
                if let GraphNodeKind::Sensor(sensor) = &node.kind
                    && let Some(of) = &sensor.of
                {
                    let source = InputSource::Resource(of.clone());
                    sources.insert(Arc::clone(&of.source), source);
                }
            }
        }
        Body::Pattern(pattern) => {
            for element in super::pattern::flat(pattern) {
                if let Some(of) = &element.of {
                    sources.insert(Arc::clone(&of.name), of.source.clone());
                }
            }
        }
        Body::When(_) | Body::Window(_) | Body::Join(_) => {}
    }
    let across = rule.across.inputs.iter();
    for input in across {
        if let Some(source) = sources.get_mut(&input.name) {
            source.clone_from(&input.source);
        }
    }
    sources
}

/// Whether sensors or elements look at other resources.
pub(crate) fn looks(rule: &Rule) -> bool {
    !sources(rule).is_empty()
}

/// Whether an input is named as the place where a sensor or an element looks.
pub(crate) fn names(rule: &Rule, input: &str) -> bool {
    sources(rule).contains_key(input)
}

/// Text that is equal for rules that look at the same resources.
pub(crate) fn identity(rule: &Rule) -> Vec<Arc<str>> {
    let by = match &rule.body {
        Body::Pattern(pattern) => pattern.by.as_ref().map(|by| Arc::clone(&by.source)),
        _ => None,
    };
    sources(rule).into_keys().chain(by).collect()
}

/// One resource, in the words of a task that has none of its own.
fn alone(text: FormulaText) -> InputSource {
    InputSource::Group(GroupOf {
        ids: vec![text],
        ..GroupOf::default()
    })
}

/// Inputs that a compiled table asks for, besides those that the rule names.
pub(crate) fn implied(rule: &Rule, table: &SlotTable) -> Vec<Input> {
    let sources = sources(rule);
    let mut inputs = Vec::new();
    for place in &table.places {
        let Form::Metric(name) = &place.form else {
            continue;
        };
        for (of, source) in &sources {
            let Some(metric) = name.strip_suffix(of.as_ref()) else {
                continue;
            };
            let Some(metric) = metric.strip_suffix('@') else {
                continue;
            };
            let source = match source {
                InputSource::Resource(text) if rule.selector == Selector::Everything => {
                    alone(text.clone())
                }
                source => source.clone(),
            };
            inputs.push(Input {
                name: Arc::clone(name),
                source,
                rule: None,
                metric: Arc::from(metric),
                max_age: None,
                passive: false,
            });
            break;
        }
    }
    inputs
}
