//! A rule's document as the message that gRPC takes, and back: the only place that knows both. Nothing is lost: what a
//! message has no field for, or what is written in another form than its field has, travels in `more` as it is.

mod map;

use crate::document::canonical;
use crate::document::tree::{self, NodeKind};
use crate::wire::rule::v1::{
    Action, Alarm, Definition, Formula, HandlerCall, Hopping, LogLine, Member, Named, Selector,
    Target, TopicRecord, WindowForm, action, target, window_form,
};
use map::{Map, node, tree_of};

type Entries = Vec<(String, NodeKind)>;

/// The message of a rule's document; `None` when the text is no single map. Whether it is a good rule is not asked here.
#[must_use]
pub fn to_message(document: &str) -> Option<Definition> {
    let mut nodes = Vec::new();
    for piece in tree::pieces(document) {
        let (read, broken) = tree::read(piece);
        if broken.is_some() {
            return None;
        }
        nodes.extend(read);
    }
    let [node] = nodes.as_slice() else {
        return None;
    };
    let mut fields = entries(&node.kind)?;
    fields.retain(|(name, kind)| {
        name != "kind" || !matches!(kind, NodeKind::Text(kind) if kind == "Rule")
    });
    let fields = &mut fields;
    let mut definition = Definition {
        name: text(fields, "name").unwrap_or_default(),
        description: text(fields, "description"),
        r#for: take(fields, "for", selector),
        r#where: text(fields, "where"),
        disorder: text(fields, "disorder"),
        idle: text(fields, "idle"),
        order: text(fields, "order"),
        when: text(fields, "when"),
        hold: text(fields, "hold"),
        clear: text(fields, "clear"),
        clear_hold: text(fields, "clear_hold"),
        window: take(fields, "window", window),
        by: take(fields, "by", formulas).unwrap_or_default(),
        emit: take(fields, "emit", formulas).unwrap_or_default(),
        having: text(fields, "having"),
        then: take(fields, "then", |kind| list(kind, action)).unwrap_or_default(),
        to: take(fields, "to", |kind| list(kind, target)).unwrap_or_default(),
        more: Vec::new(),
    };
    definition.more = rest(fields);
    Some(definition)
}

/// The document of a message, as JSON.
#[must_use]
pub fn from_message(definition: &Definition) -> String {
    let mut map = Map::default();
    map.text("kind", Some("Rule"));
    // A rule without a name is told so by whoever reads the document.
    map.text(
        "name",
        Some(&definition.name).filter(|name| !name.is_empty()),
    );
    map.text("description", definition.description.as_ref());
    map.put("for", definition.r#for.as_ref().map(selector_node));
    for (name, value) in [
        ("where", &definition.r#where),
        ("disorder", &definition.disorder),
        ("idle", &definition.idle),
        ("order", &definition.order),
        ("when", &definition.when),
        ("hold", &definition.hold),
        ("clear", &definition.clear),
        ("clear_hold", &definition.clear_hold),
    ] {
        map.text(name, value.as_ref());
    }
    map.put("window", definition.window.as_ref().map(window_node));
    map.formulas("by", &definition.by);
    map.formulas("emit", &definition.emit);
    map.text("having", definition.having.as_ref());
    map.list("then", definition.then.iter().map(action_node));
    map.list("to", definition.to.iter().map(target_node));
    map.more(&definition.more);
    let mut out = String::new();
    canonical::write(&node(map.kind()), &mut out);
    out
}

/// The fields of a map whose names are texts, each once.
fn entries(kind: &NodeKind) -> Option<Entries> {
    let NodeKind::Map(pairs) = kind else {
        return None;
    };
    let mut fields: Entries = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let name = key.scalar()?;
        if fields.iter().any(|(known, _)| known == name) {
            return None;
        }
        fields.push((name.to_owned(), value.kind.clone()));
    }
    Some(fields)
}

/// Takes a field out if it has the form that is wanted; otherwise it stays.
fn take<T>(fields: &mut Entries, name: &str, read: impl Fn(&NodeKind) -> Option<T>) -> Option<T> {
    let at = fields.iter().position(|(known, _)| known == name)?;
    let value = read(&fields.get(at)?.1)?;
    fields.remove(at);
    Some(value)
}

fn as_text(kind: &NodeKind) -> Option<String> {
    match kind {
        NodeKind::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn text(fields: &mut Entries, name: &str) -> Option<String> {
    // An empty name is no name on the wire.
    take(fields, name, |kind| {
        as_text(kind).filter(|text| name != "name" || !text.is_empty())
    })
}

fn rest(fields: &mut Entries) -> Vec<Member> {
    let left = std::mem::take(fields).into_iter();
    left.map(|(name, kind)| Member {
        name,
        value: Some(tree_of(&kind)),
    })
    .collect()
}

fn list<T>(kind: &NodeKind, read: impl Fn(&NodeKind) -> Option<T>) -> Option<Vec<T>> {
    match kind {
        // An empty list is something else than none.
        NodeKind::Seq(items) if !items.is_empty() => {
            items.iter().map(|item| read(&item.kind)).collect()
        }
        _ => None,
    }
}

fn formulas(kind: &NodeKind) -> Option<Vec<Formula>> {
    let fields = entries(kind).filter(|fields| !fields.is_empty())?;
    let formula = |(name, kind): &(String, NodeKind)| {
        let formula = as_text(kind)?;
        Some(Formula {
            name: name.clone(),
            formula,
        })
    };
    fields.iter().map(formula).collect()
}

fn selector(kind: &NodeKind) -> Option<Selector> {
    match kind {
        NodeKind::Text(all) if all == "all" => Some(Selector {
            all: true,
            ..Selector::default()
        }),
        NodeKind::Seq(_) => list(kind, as_text).map(|ids| Selector {
            ids,
            ..Selector::default()
        }),
        NodeKind::Map(_) => {
            let mut fields = entries(kind)?;
            let labels = take(&mut fields, "labels", formulas).unwrap_or_default();
            let labels = labels.into_iter().map(|label| Named {
                name: label.name,
                value: label.formula,
            });
            let selector = Selector {
                r#type: text(&mut fields, "type"),
                labels: labels.collect(),
                ..Selector::default()
            };
            let said = selector.r#type.is_some() || !selector.labels.is_empty();
            (fields.is_empty() && said).then_some(selector)
        }
        _ => None,
    }
}

fn selector_node(selector: &Selector) -> NodeKind {
    if selector.all {
        return NodeKind::Text("all".to_owned());
    }
    let mut map = Map::default();
    if !selector.ids.is_empty() {
        let ids = selector.ids.iter().cloned().map(NodeKind::Text);
        let ids = NodeKind::Seq(ids.map(node).collect());
        if selector.r#type.is_none() && selector.labels.is_empty() {
            return ids;
        }
        map.put("ids", Some(ids));
    }
    map.text("type", selector.r#type.as_ref());
    let mut labels = Map::default();
    for label in &selector.labels {
        labels.text(&label.name, Some(&label.value));
    }
    map.put(
        "labels",
        (!selector.labels.is_empty()).then(|| labels.kind()),
    );
    map.kind()
}

fn window(kind: &NodeKind) -> Option<WindowForm> {
    use window_form::Form;
    let mut fields = entries(kind)?;
    let fields = &mut fields;
    let form = text(fields, "tumbling")
        .map(Form::Tumbling)
        .or_else(|| take(fields, "hopping", hopping).map(Form::Hopping))
        .or_else(|| text(fields, "sliding").map(Form::Sliding));
    Some(WindowForm {
        form,
        offset: text(fields, "offset"),
        lateness: text(fields, "lateness"),
        more: rest(fields),
    })
}

fn hopping(kind: &NodeKind) -> Option<Hopping> {
    let mut fields = entries(kind)?;
    let fields = &mut fields;
    Some(Hopping {
        size: text(fields, "size"),
        every: text(fields, "every"),
        offset: text(fields, "offset"),
        more: rest(fields),
    })
}

fn window_node(window: &WindowForm) -> NodeKind {
    use window_form::Form;
    let mut map = Map::default();
    match &window.form {
        Some(Form::Tumbling(size)) => map.text("tumbling", Some(size)),
        Some(Form::Sliding(size)) => map.text("sliding", Some(size)),
        Some(Form::Hopping(hopping)) => {
            let mut form = Map::default();
            form.text("size", hopping.size.as_ref());
            form.text("every", hopping.every.as_ref());
            form.text("offset", hopping.offset.as_ref());
            form.more(&hopping.more);
            map.put("hopping", Some(form.kind()));
        }
        None => {}
    }
    map.text("offset", window.offset.as_ref());
    map.text("lateness", window.lateness.as_ref());
    map.more(&window.more);
    map.kind()
}

fn action(kind: &NodeKind) -> Option<Action> {
    use action::Kind;
    let mut fields = entries(kind)?;
    let fields = &mut fields;
    let kind = take(fields, "alarm", alarm)
        .map(Kind::Alarm)
        .or_else(|| take(fields, "topic", topic).map(Kind::Topic))
        .or_else(|| take(fields, "handler", handler).map(Kind::Handler))
        .or_else(|| take(fields, "log", log).map(Kind::Log));
    Some(Action {
        kind,
        on: take(fields, "on", |kind| list(kind, as_text)).unwrap_or_default(),
        at_most_every: text(fields, "at_most_every"),
        once: take(fields, "once", flag),
        more: rest(fields),
    })
}

const fn flag(kind: &NodeKind) -> Option<bool> {
    match kind {
        NodeKind::Bool(flag) => Some(*flag),
        _ => None,
    }
}

fn alarm(kind: &NodeKind) -> Option<Alarm> {
    let mut fields = entries(kind)?;
    Some(Alarm {
        severity: text(&mut fields, "severity"),
        text: text(&mut fields, "text"),
        more: rest(&mut fields),
    })
}

fn topic(kind: &NodeKind) -> Option<TopicRecord> {
    let mut fields = entries(kind)?;
    Some(TopicRecord {
        name: text(&mut fields, "name").unwrap_or_default(),
        value: text(&mut fields, "value"),
        more: rest(&mut fields),
    })
}

fn handler(kind: &NodeKind) -> Option<HandlerCall> {
    let mut fields = entries(kind)?;
    Some(HandlerCall {
        r#use: text(&mut fields, "use"),
        with: take(&mut fields, "with", formulas).unwrap_or_default(),
        more: rest(&mut fields),
    })
}

fn log(kind: &NodeKind) -> Option<LogLine> {
    as_text(kind).map(|text| LogLine { text })
}

fn action_node(action: &Action) -> NodeKind {
    use action::Kind;
    let mut map = Map::default();
    let mut inner = Map::default();
    match &action.kind {
        Some(Kind::Alarm(alarm)) => {
            inner.text("severity", alarm.severity.as_ref());
            inner.text("text", alarm.text.as_ref());
            inner.more(&alarm.more);
            map.put("alarm", Some(inner.kind()));
        }
        Some(Kind::Topic(topic)) => map.put("topic", Some(topic_node(topic))),
        Some(Kind::Handler(handler)) => {
            inner.text("use", handler.r#use.as_ref());
            inner.formulas("with", &handler.with);
            inner.more(&handler.more);
            map.put("handler", Some(inner.kind()));
        }
        Some(Kind::Log(log)) => map.text("log", Some(&log.text)),
        None => {}
    }
    map.list("on", action.on.iter().cloned().map(NodeKind::Text));
    map.text("at_most_every", action.at_most_every.as_ref());
    map.put("once", action.once.map(NodeKind::Bool));
    map.more(&action.more);
    map.kind()
}

fn topic_node(topic: &TopicRecord) -> NodeKind {
    let mut map = Map::default();
    map.text("name", Some(&topic.name).filter(|name| !name.is_empty()));
    map.text("value", topic.value.as_ref());
    map.more(&topic.more);
    map.kind()
}

fn target(kind: &NodeKind) -> Option<Target> {
    use target::Kind;
    let kind = match kind {
        NodeKind::Text(name) => Kind::Builtin(name.clone()),
        _ => {
            let mut fields = entries(kind)?;
            let topic = take(&mut fields, "topic", topic)?;
            if !fields.is_empty() {
                return None;
            }
            Kind::Topic(topic)
        }
    };
    Some(Target { kind: Some(kind) })
}

fn target_node(target: &Target) -> NodeKind {
    use target::Kind;
    match &target.kind {
        Some(Kind::Builtin(name)) => NodeKind::Text(name.clone()),
        Some(Kind::Topic(topic)) => {
            let mut map = Map::default();
            map.put("topic", Some(topic_node(topic)));
            map.kind()
        }
        None => NodeKind::Null,
    }
}

#[cfg(test)]
mod tests;
