//! What is wrong with a text that does not parse, with a hint for what people write who come from other languages.

use crate::lower::Problem;

/// The parser's error in our words.
pub(crate) fn parse_problem(error: &rhai::ParseError, source: &str) -> Problem {
    let text = words(error.err_type(), source);
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let hint = match error.err_type() {
        rhai::ParseErrorType::Reserved(word)
            if ["null", "nil", "void"].contains(&word.as_str()) =>
        {
            "a missing value is written `()`; `has(x)` asks for one".to_owned()
        }
        rhai::ParseErrorType::Reserved(word) if rhai::is_valid_identifier(word) => {
            format!("a metric of this name is written `metric(\"{word}\")`")
        }
        other => match meant(source) {
            Some(hint) => hint.to_owned(),
            None => way_out(other, source),
        },
    };
    Problem {
        at: error.position(),
        problem: first.into_iter().chain(letters).collect(),
        hint,
    }
}

/// What the parser says, in words of formulas where its own are those of programs.
fn words(error: &rhai::ParseErrorType, source: &str) -> String {
    match error {
        rhai::ParseErrorType::UnexpectedEOF => match ending(source) {
            Some(sign) => format!("the formula ends behind `{sign}`"),
            None => "the formula ends before it is complete".to_owned(),
        },
        rhai::ParseErrorType::MissingToken(token, _) if token == ";" => {
            "two parts stand side by side, and nothing says what is between them".to_owned()
        }
        other => other.to_string(),
    }
}

/// The sign at the end of a text that something has to follow.
fn ending(source: &str) -> Option<&str> {
    const SIGNS: &str = "+-*/%<>=!&|^,?";
    let source = source.trim_end();
    let sign = source.get(source.trim_end_matches(|c| SIGNS.contains(c)).len()..)?;
    (!sign.is_empty()).then_some(sign)
}

/// How to mend what nobody brought along from elsewhere.
fn way_out(error: &rhai::ParseErrorType, source: &str) -> String {
    let hint = match error {
        rhai::ParseErrorType::UnexpectedEOF if ending(source).is_some() => {
            "write what comes next, or leave the sign out"
        }
        rhai::ParseErrorType::UnexpectedEOF => "close every bracket and quote that is opened",
        rhai::ParseErrorType::MissingToken(token, _) if token == ";" => {
            "conditions are joined by `&&` and `||`, numbers by `+ - * /`"
        }
        rhai::ParseErrorType::MissingToken(token, _) if token == ")" => {
            "arguments stand between commas; close the bracket with `)`"
        }
        rhai::ParseErrorType::MissingToken(token, _) => return format!("write `{token}` there"),
        rhai::ParseErrorType::BadInput(error)
            if error.to_string().starts_with("Invalid character") =>
        {
            "texts stand in double quotes, `\"so\"`"
        }
        _ => "",
    };
    hint.to_owned()
}

/// What the first foreign word or sign outside of texts is called here.
fn meant(source: &str) -> Option<&'static str> {
    let mut quote = None;
    let mut before = ' ';
    // Whether what stands directly before is a number, not a name that ends like one.
    let mut number = false;
    for (at, letter) in source.char_indices() {
        let rest = source.get(at..).unwrap_or_default();
        if let Some(open) = quote {
            if letter == open && before != '\\' {
                quote = None;
            }
        } else if letter == '"' || letter == '`' {
            quote = Some(letter);
        } else if let Some(hint) = foreign((before, number), rest)
            // Scripts with names of their own give them values.
            && !(letter == '=' && source.contains("let "))
        {
            return Some(hint);
        }
        number = letter.is_ascii_digit() && (number || !is_part(before));
        before = letter;
    }
    None
}

/// Whether a letter goes on with a name or a number.
fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What a text begins with that no formula has, behind a letter.
fn foreign((before, number): (char, bool), rest: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 3] = [
        ("and", "\"and\" is written `&&`"),
        ("or", "\"or\" is written `||`"),
        ("not", "\"not\" is written `!`"),
    ];
    const SIGNS: [(&str, &str); 18] = [
        ("=>", "\"at least\" is written `>=`"),
        ("\u{2264}", "\"at most\" is written `<=`"),
        ("\u{2265}", "\"at least\" is written `>=`"),
        ("=<", "\"at most\" is written `<=`"),
        ("\u{2260}", "\"is not\" is written `!=`"),
        ("\u{d7}", "times is written `*`"),
        ("\u{f7}", "divided by is written `/`"),
        ("\u{2014}", "a minus is written `-`"),
        ("\u{2018}", "texts stand in straight quotes, `\"so\"`"),
        ("\u{2019}", "texts stand in straight quotes, `\"so\"`"),
        ("\u{201e}", "texts stand in straight quotes, `\"so\"`"),
        ("<>", "\"is not\" is written `!=`"),
        ("?", "a choice is written `if c { a } else { b }`"),
        ("\u{2212}", "a minus is written `-`"),
        ("\u{2013}", "a minus is written `-`"),
        ("\u{2011}", "a minus is written `-`"),
        ("\u{201c}", "texts stand in straight quotes, `\"so\"`"),
        ("\u{201d}", "texts stand in straight quotes, `\"so\"`"),
    ];
    let word_ends = |length: usize| {
        let next = rest.get(length..).and_then(|rest| rest.chars().next());
        next.is_none_or(|letter| !is_part(letter) && letter != '(' && letter != '.')
    };
    let behind = rest.chars().nth(1);
    if number
        && rest.starts_with(['s', 'm', 'h', 'd'])
        && (word_ends(1) || (rest.starts_with("ms") && word_ends(2)))
    {
        return Some("a duration stands in quotes, as in `avg(t, \"5m\")`");
    }
    let is_alone = !"=<>!+-*/%".contains(before) && !matches!(behind, Some('=' | '>' | '<'));
    if rest.starts_with('=') && is_alone {
        return Some("whether two are equal is asked by `==`");
    }
    let signs = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    let words = WORDS.iter().find(|(word, _)| {
        let found = rest.get(..word.len());
        !is_part(before)
            && found.is_some_and(|found| found.eq_ignore_ascii_case(word))
            && word_ends(word.len())
    });
    signs.or(words).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_elsewhere_gets_a_hint() {
        let hints = [
            ("x > 1 AND y > 2", "`&&`"),
            ("x > 1 or y > 2", "`||`"),
            ("not x > 1", "`!`"),
            ("x <> 1", "`!=`"),
            ("x = 1", "`==`"),
            ("avg(x, 5m) > 1", "quotes"),
            ("avg(x, 500ms) > 1", "quotes"),
            ("x > 1 ? 2 : 3", "`if c"),
            ("x \u{2212} 1", "`-`"),
            ("x == \u{201c}on\u{201d}", "straight"),
            ("x \u{2265} 1", "`>=`"),
            ("x =< 1", "`<=`"),
            ("x == \u{2018}on\u{2019}", "straight"),
        ];
        for (source, part) in hints {
            let hint = meant(source).unwrap_or_default();
            assert!(hint.contains(part), "{source}: {hint}");
        }
    }

    #[test]
    fn what_is_right_or_stands_in_texts_gets_none() {
        let right = [
            "x == 1 && y != 2",
            "or(x, 1.0) > 2.0",
            "name == \"rock and roll = 5m?\"",
            "x >= 1 && x <= 2",
            "band.and_more > 1",
            "sensor > 1 || x1m > 2",
            "`a or b`",
            "x += 1",
            "xs.map(|v| v * 2.0)",
        ];
        for source in right {
            assert_eq!(meant(source), None, "{source}");
        }
    }
}
