//! Sensors of graphs and elements of patterns that look at other resources: what they read are inputs that nobody had to name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::graph::{GraphNodeKind, Sensor};
use tidegate_proto::{Body, FormulaText, GroupOf, Input, InputSource, Rule, SaidNode, Selector};

use super::slots::{Form, SlotTable};

/// Column with the id of a row's resource.
pub(crate) const OF_RESOURCE: &str = "@resource";

/// The task's own resource, as a template.
const OWN: &str = "${resource}";

/// The name of another resource's metric, as a table has it.
pub(crate) fn named(metric: &str, of: &str) -> Arc<str> {
    Arc::from(format!("{metric}@{of}"))
}

/// What a sensor or an element looks at.
struct Looked {
    /// What the document calls it.
    of: Arc<str>,
    source: InputSource,
    /// The lines of another rule about it, instead of its rows.
    said: Option<SaidNode>,
}

/// What a sensor looks at is called so; `None`: the rows of the task's own resource.
pub(crate) fn key(sensor: &Sensor) -> Option<Arc<str>> {
    let of = sensor.of.as_ref().map(|of| &of.source);
    match &sensor.said {
        // Behind the resource, so that no other name ends like it.
        Some(said) => {
            let of = of.map_or(OWN, AsRef::as_ref);
            Some(Arc::from(format!("{of}#{}", said.column())))
        }
        None => of.cloned(),
    }
}

/// What a node that stands for another rule's task shows, in words.
pub(crate) fn told(sensor: &Sensor) -> Option<Arc<str>> {
    let of = sensor.of.as_ref();
    let of = of.map_or_else(String::new, |of| format!(" of {}", of.source));
    let said = sensor.said.as_ref()?;
    Some(Arc::from(format!("{said}{of}")))
}

/// The resource whose task a node of another rule stands for, if the node does not say it: the task's own, or, where there is
/// none, the one that stands for the other rule's task over everything.
fn default_of(rule: &Rule, said: &SaidNode, formula: &FormulaText) -> FormulaText {
    FormulaText {
        source: if rule.selector == Selector::Everything {
            Arc::clone(&said.rule)
        } else {
            Arc::from(OWN)
        },
        ..formula.clone()
    }
}

/// Whose rows a rule's sensors or elements look at, by what they are called.
fn sources(rule: &Rule) -> BTreeMap<Arc<str>, Looked> {
    let mut sources = BTreeMap::new();
    match &rule.body {
        Body::Graph(graph) => {
            for node in &graph.nodes {
                let GraphNodeKind::Sensor(sensor) = &node.kind else {
                    continue;
                };
                let said = sensor.said.as_ref().zip(sensor.formula.as_ref());
                let said = said.map(|(said, formula)| default_of(rule, said, formula));
                if let (Some(key), Some(of)) = (key(sensor), sensor.of.clone().or(said)) {
                    let looked = Looked {
                        of: Arc::clone(&of.source),
                        source: InputSource::Resource(of),
                        said: sensor.said.clone(),
                    };
                    sources.insert(key, looked);
                }
            }
        }
        Body::Pattern(pattern) => {
            for element in super::pattern::flat(pattern) {
                if let Some(of) = &element.of {
                    let looked = Looked {
                        of: Arc::clone(&of.name),
                        source: of.source.clone(),
                        said: None,
                    };
                    sources.insert(Arc::clone(&of.name), looked);
                }
            }
        }
        Body::When(_) | Body::Window(_) | Body::Join(_) => {}
    }
    let across = rule.across.inputs.iter();
    for input in across {
        let named = sources
            .values_mut()
            .filter(|looked| looked.of == input.name);
        for looked in named {
            looked.source.clone_from(&input.source);
        }
    }
    sources
}

/// Whether sensors or elements look at other resources, or at what other rules say.
pub(crate) fn looks(rule: &Rule) -> bool {
    !sources(rule).is_empty()
}

/// Whether an input is named as the place where a sensor or an element looks.
pub(crate) fn names(rule: &Rule, input: &str) -> bool {
    let sources = sources(rule);
    sources.values().any(|looked| looked.of.as_ref() == input)
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
        for (of, looked) in &sources {
            let Some(metric) = name.strip_suffix(of.as_ref()) else {
                continue;
            };
            let Some(metric) = metric.strip_suffix('@') else {
                continue;
            };
            let source = match &looked.source {
                InputSource::Resource(text) if rule.selector == Selector::Everything => {
                    alone(text.clone())
                }
                source => source.clone(),
            };
            inputs.push(Input {
                name: Arc::clone(name),
                source,
                rule: looked.said.as_ref().map(|said| Arc::clone(&said.rule)),
                metric: looked
                    .said
                    .as_ref()
                    .map_or_else(|| Arc::from(metric), SaidNode::column),
                max_age: None,
                passive: false,
            });
            break;
        }
    }
    inputs
}
