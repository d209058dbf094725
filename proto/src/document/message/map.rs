//! Maps of a document that is being written, and what travels as it is.

use crate::document::tree::{Node, NodeKind};
use crate::issue::Mark;
use crate::wire::rule::v1::{Formula, Member, Tree, TreeList, TreeMap, tree as wire_tree};

/// A value that stands nowhere: it comes from a message.
pub(super) const fn node(kind: NodeKind) -> Node {
    Node {
        mark: Mark { line: 0, column: 0 },
        kind,
    }
}

/// A value as it travels.
pub(super) fn tree_of(kind: &NodeKind) -> Tree {
    use wire_tree::Kind;
    let kind = match kind {
        NodeKind::Null => None,
        NodeKind::Bool(flag) => Some(Kind::Flag(*flag)),
        NodeKind::Number(number) => Some(Kind::Number(number.clone())),
        NodeKind::Text(text) => Some(Kind::Text(text.clone())),
        NodeKind::Seq(items) => Some(Kind::List(TreeList {
            items: items.iter().map(|item| tree_of(&item.kind)).collect(),
        })),
        NodeKind::Map(pairs) => Some(Kind::Map(TreeMap {
            members: pairs
                .iter()
                .map(|(key, value)| Member {
                    name: key.scalar().unwrap_or_default().to_owned(),
                    value: Some(tree_of(&value.kind)),
                })
                .collect(),
        })),
    };
    Tree { kind }
}

/// Messages are at most 100 levels deep when they come from outside, so it may recurse.
fn node_of(tree: Option<&Tree>) -> NodeKind {
    use wire_tree::Kind;
    match tree.and_then(|tree| tree.kind.as_ref()) {
        None => NodeKind::Null,
        Some(Kind::Flag(flag)) => NodeKind::Bool(*flag),
        Some(Kind::Number(number)) if is_number(number) => NodeKind::Number(number.clone()),
        Some(Kind::Text(text) | Kind::Number(text)) => NodeKind::Text(text.clone()),
        Some(Kind::List(list)) => {
            let items = list.items.iter();
            NodeKind::Seq(items.map(|item| node(node_of(Some(item)))).collect())
        }
        Some(Kind::Map(map)) => {
            let mut out = Map::default();
            out.more(&map.members);
            out.kind()
        }
    }
}

/// What stands bare in the document must be a number: anything else would be somebody's way to write what he likes.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// A map of a document that is being written.
#[derive(Default)]
pub(super) struct Map(Vec<(Node, Node)>);

impl Map {
    pub(super) fn put(&mut self, name: &str, kind: Option<NodeKind>) {
        if let Some(kind) = kind {
            self.0
                .push((node(NodeKind::Text(name.to_owned())), node(kind)));
        }
    }

    pub(super) fn text<T: AsRef<str>>(&mut self, name: &str, text: Option<T>) {
        self.put(
            name,
            text.map(|text| NodeKind::Text(text.as_ref().to_owned())),
        );
    }

    pub(super) fn list(&mut self, name: &str, items: impl Iterator<Item = NodeKind>) {
        let items: Vec<Node> = items.map(node).collect();
        self.put(name, (!items.is_empty()).then_some(NodeKind::Seq(items)));
    }

    pub(super) fn formulas(&mut self, name: &str, formulas: &[Formula]) {
        let mut map = Self::default();
        for formula in formulas {
            map.text(&formula.name, Some(&formula.formula));
        }
        self.put(name, (!formulas.is_empty()).then(|| map.kind()));
    }

    pub(super) fn more(&mut self, members: &[Member]) {
        for member in members {
            self.put(&member.name, Some(node_of(member.value.as_ref())));
        }
    }

    pub(super) fn kind(self) -> NodeKind {
        NodeKind::Map(self.0)
    }
}
