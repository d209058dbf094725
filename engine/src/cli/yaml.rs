//! JSON values as YAML: what `-o yaml` prints. Block style, quotes only where a plain text would mean something else.

use serde_json::Value;

/// A value as YAML, with a line end.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        leaf => {
            scalar(leaf, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Writes a map or list that is not empty, beginning where the line begins.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (index, (name, value)) in map.iter().enumerate() {
                if index > 0 {
                    indent(depth, out);
                }
                plain_or_quoted(name, out);
                out.push(':');
                if is_block(value) {
                    out.push('\n');
                    // A list stands below its name without a further indent, as people write it.
                    let deeper = if value.is_array() { depth } else { depth + 1 };
                    indent(deeper, out);
                    block(value, deeper, out);
                } else {
                    out.push(' ');
                    scalar(value, depth, out);
                    out.push('\n');
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    indent(depth, out);
                }
                out.push_str("- ");
                if is_block(value) {
                    block(value, depth + 1, out);
                } else {
                    scalar(value, depth, out);
                    out.push('\n');
                }
            }
        }
        leaf => scalar(leaf, depth, out),
    }
}

fn scalar(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::String(text) => match literal(text) {
            Some(chomping) => {
                out.push('|');
                out.push_str(chomping);
                for line in text.trim_end_matches('\n').split('\n') {
                    out.push('\n');
                    if !line.is_empty() {
                        indent(depth + 1, out);
                        out.push_str(line);
                    }
                }
            }
            None => plain_or_quoted(text, out),
        },
        // Numbers, flags, null and what is empty are the same in JSON.
        other => out.push_str(&other.to_string()),
    }
}

/// How a text of several lines ends as a literal block; `None` when it cannot be one.
fn literal(text: &str) -> Option<&'static str> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_clean = !text
        .chars()
        .any(|c| c.is_control() && c != '\n' || c == '\u{feff}');
    let fits =
        body.contains('\n') && !body.starts_with([' ', '\n']) && !body.ends_with('\n') && is_clean;
    fits.then_some(if text.ends_with('\n') { "" } else { "-" })
}

fn plain_or_quoted(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        // A JSON string is a double-quoted YAML string.
        out.push_str(&Value::from(text).to_string());
    }
}

/// Whether a text means itself without quotes. Careful rather than pretty.
fn is_plain(text: &str) -> bool {
    let good_first = text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/');
    let good = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '/' | ' ' | '(' | ')' | '+' | '°' | '%')
    };
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    good_first
        && !text.ends_with(' ')
        && text.chars().all(good)
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_print_as_people_write_them() {
        let value = json!({
            "id": "boiler-1",
            "revision": 3,
            "labels": {},
            "meta": { "line": "l1", "a b": "yes", "code": "007", "empty": "" },
            "online": true,
            "parent": null,
            "metrics": [{ "name": "temperature", "value": 21.0 }, [1, 2], "x: y", []],
            "document": "kind: Rule\nname: a\n\nwhen: b > 1\n",
            "plan": ["a\nb"],
        });
        let expected = "\
id: boiler-1
revision: 3
labels: {}
meta:
  line: l1
  a b: \"yes\"
  code: \"007\"
  empty: \"\"
online: true
parent: null
metrics:
- name: temperature
  value: 21.0
- - 1
  - 2
- \"x: y\"
- []
document: |
  kind: Rule
  name: a

  when: b > 1
plan:
- |-
  a
  b
";
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn what_could_be_misread_is_quoted() {
        for quoted in [
            "",
            " a",
            "a ",
            "a: b",
            "a #b",
            "- a",
            "true",
            "NO",
            "1.5",
            "0x1f",
            "2026-01-01",
            "*a",
            "a\tb",
            "\n",
            "~",
            "=",
            "a, b",
            "[a]",
        ] {
            assert!(text(&json!(quoted)).starts_with('"'), "{quoted:?}");
        }
        for plain in ["a", "boiler-1", "a/b c", "mean (5m)"] {
            assert_eq!(text(&json!(plain)), format!("{plain}\n"));
        }
        assert_eq!(text(&json!([])), "[]\n");
        assert_eq!(text(&json!(" a\nb")), "\" a\\nb\"\n");
    }

    /// The parser of our own documents reads back what was printed.
    #[test]
    fn a_document_reads_back() {
        let document = json!({ "kind": "Resource", "id": "a: b #c", "type": "boiler", "meta": { "x y": "1", "z": "no" } });
        let parsed = tidegate_proto::document::parse(&text(&document)).unwrap();
        let again = tidegate_proto::document::parse(&document.to_string());
        assert_eq!(Ok(parsed), again);
    }
}
