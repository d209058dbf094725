//! A tree as compact JSON: the same content gives the same text, whatever its formatting and comments.

use crate::document::tree::{Node, NodeKind};
use crate::json::write_text;

/// The tree as compact JSON with keys in the order written. Trees are at most 64 levels deep, so it may recurse.
pub(super) fn write(node: &Node, out: &mut String) {
    match &node.kind {
        NodeKind::Null => out.push_str("null"),
        NodeKind::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        NodeKind::Number(number) => out.push_str(number),
        NodeKind::Text(text) => write_text(text, out),
        NodeKind::Seq(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        NodeKind::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key.scalar().unwrap_or_default(), out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}
