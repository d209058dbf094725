//! The reader against its grammar, its limits and `serde_json`.

use proptest::prelude::*;

use super::*;

fn skip(bytes: &[u8]) -> Result<(), JsonError> {
    let mut reader = Reader::new(bytes, ReadLimits::default())?;
    reader.skip()?;
    reader.finish()
}

fn text(json: &str) -> Result<String, String> {
    let mut reader = Reader::new(json.as_bytes(), ReadLimits::default()).unwrap();
    reader
        .text()
        .map(|text| text.into_owned())
        .map_err(|error| error.to_string())
}

#[test]
fn strings_and_their_escapes() {
    assert_eq!(text(r#""plain""#).unwrap(), "plain");
    assert_eq!(
        text(r#""a\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00ä""#).unwrap(),
        "a\"\\/\u{8}\u{c}\n\r\tA😀ä"
    );
    for (json, problem) in [
        (r#""open"#, "byte 5: the text ends where `\"` is expected"),
        (r#""\"#, "byte 2: the text ends where an escape is expected"),
        (r#""\x""#, "byte 1: not an escape"),
        (r#""\u00"#, "byte 1: not an escape"),
        (r#""\u00zz""#, "byte 1: not an escape"),
        (r#""\uD800""#, "byte 1: half of a surrogate pair"),
        (r#""\uD800\n""#, "byte 1: half of a surrogate pair"),
        (r#""\uD800\u0041""#, "byte 1: half of a surrogate pair"),
        (r#""\uDC00\uD800""#, "byte 1: half of a surrogate pair"),
        ("12", "byte 0: a text in `\"` is expected"),
    ] {
        assert_eq!(text(json).unwrap_err(), problem, "{json}");
    }
    let control = text("\"a\u{1}\"").unwrap_err();
    assert!(
        control.starts_with("byte 2: a control character"),
        "{control}"
    );
}

#[test]
fn limits_hold() {
    let deep = "[".repeat(10_000);
    assert_eq!(
        skip(deep.as_bytes()).unwrap_err().problem,
        JsonProblem::Depth(32)
    );
    assert!(skip(("[".repeat(32) + &"]".repeat(32)).as_bytes()).is_ok());
    let long = format!("\"{}\"", "x".repeat((64 << 10) + 1));
    assert_eq!(
        skip(long.as_bytes()).unwrap_err().problem,
        JsonProblem::Text(64 << 10)
    );
    let escaped = format!("\"{}\"", "\\n".repeat((32 << 10) + 1));
    assert_eq!(
        skip(escaped.as_bytes()).unwrap_err().problem,
        JsonProblem::Text(64 << 10)
    );
    let huge = vec![b' '; (1 << 20) + 1];
    assert_eq!(
        skip(&huge).unwrap_err().problem,
        JsonProblem::Bytes(1 << 20)
    );
    assert_eq!(
        skip(b"\"\xff\"").unwrap_err(),
        JsonError {
            at: 1,
            problem: JsonProblem::Utf8
        }
    );
}

#[test]
fn numbers_round_to_nearest() {
    let value = |text: &str| {
        let mut reader = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
        let number = reader.number().unwrap();
        reader.finish().unwrap();
        (number.whole, number.value)
    };
    assert_eq!(value("21.5"), (None, 21.5));
    assert_eq!(value("-0"), (Some(0), -0.0));
    assert_eq!(
        value("1767225600000"),
        (Some(1_767_225_600_000), 1_767_225_600_000.0)
    );
    // 2^53 + 1 is no double: it rounds to the even one of its neighbours.
    assert_eq!(
        value("9007199254740993"),
        (Some(9_007_199_254_740_993), 9_007_199_254_740_992.0)
    );
    assert_eq!(value("1e308").1, 1e308);
    assert_eq!(value("1e999").1, f64::INFINITY);
    assert_eq!(value("-1e999").1, f64::NEG_INFINITY);
    assert_eq!(value("1e-999").1, 0.0);
    assert_eq!(value("1e99999999999").1, f64::INFINITY);
    assert_eq!(value("0.1e1").1, 1.0);
    assert_eq!(
        value("123456789012345678901234567890").1,
        123_456_789_012_345_678_901_234_567_890.0
    );
    for bad in [
        "-", "01", "1.", ".5", "1e", "1e+", "+1", "NaN", "Infinity", "0x1", "1_0",
    ] {
        assert!(skip(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn doubles_read_back(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        for text in [format!("{number:e}"), format!("{number:?}")] {
            let mut reader = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
            prop_assert_eq!(reader.number().unwrap().value.to_bits(), bits);
        }
    }

    #[test]
    fn decimals_round_as_the_standard_library_does(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
        let mut reader = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
        let value = reader.number().unwrap().value;
        prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
        reader.finish().unwrap();
        // The short way answers the same or leaves it all to the long one.
        let mut reader = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
        match reader.simple_number() {
            Some(simple) => {
                prop_assert_eq!(simple.to_bits(), value.to_bits());
                reader.finish().unwrap();
            }
            None => prop_assert_eq!(reader.at(), 0),
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"a\\\\u0-9.eE+ \\-tfn]{0,24}") {
        // serde_json refuses numbers beyond the doubles; here that is the caller's decision.
        let huge = text.contains(['e', 'E']);
        let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let found = skip(text.as_bytes()).is_ok();
        prop_assert!(found == expected || (huge && found), "{} {} {}", text, found, expected);
    }

    #[test]
    fn simple_numbers_are_numbers(text in "-?[0-9.]{0,8}[eE]?[0-9]?") {
        let mut short = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
        if let Some(simple) = short.simple_number() {
            let mut long = Reader::new(text.as_bytes(), ReadLimits::default()).unwrap();
            prop_assert_eq!(long.number().unwrap().value.to_bits(), simple.to_bits());
            prop_assert_eq!(long.at(), short.at());
        }
    }

    #[test]
    fn texts_written_are_read_back(given in any::<String>()) {
        let mut out = String::new();
        write_text(&given, &mut out);
        prop_assert_eq!(text(&out).unwrap(), given);
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = skip(&bytes);
    }
}
