//! Mutations: of bytes, of words that matter, and of two good inputs with each other.

use crate::random::Random;

/// What is put in because it is known to hurt.
const WORDS: [&str; 48] = [
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-0.0",
    "1e308",
    "1e999",
    "9007199254740993",
    "0.1",
    "-1",
    "18446744073709551616",
    "\"\"",
    "\"\\ud800\"",
    "\\u0000",
    "\u{202e}",
    "💥",
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    "---\n",
    "\t",
    "&a",
    "*a",
    "!",
    "|",
    "> ",
    "# ",
    "${",
    "}\"",
    "avg(t, \"1m\")",
    "count(\"5s\")",
    "()",
    "&&",
    "||",
    "loop { }",
    "prev(t)",
    "10y",
    "1ms",
    "\u{0}",
];

/// An input like those of a corpus.
#[must_use]
pub fn mutated(corpus: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = pick(corpus, random).to_vec();
    // One in eight stays as it is: the good ones must go on being good.
    let mutations = random.below(8).min(4);
    for _ in 0..mutations {
        mutate(&mut input, corpus, random);
    }
    input
}

fn pick<'a>(corpus: &[&'a [u8]], random: &mut Random) -> &'a [u8] {
    corpus[random.below(corpus.len() as u64) as usize]
}

/// A range of an input, mostly short.
fn range(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(length as u64 + 1) as usize;
    let most = if random.one_in(8) { length } else { 12 };
    let end = start + random.below(most as u64 + 1) as usize;
    start..end.min(length)
}

fn mutate(input: &mut Vec<u8>, corpus: &[&[u8]], random: &mut Random) {
    let taken = range(input.len(), random);
    match random.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(taken.start) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => drop(input.drain(taken)),
        2 => {
            let copy = input[taken.clone()].to_vec();
            let most = if random.one_in(16) { 200 } else { 3 };
            let times = 1 + random.below(most) as usize;
            input.splice(taken.end..taken.end, copy.repeat(times));
        }
        3 | 4 => {
            let word = WORDS[random.below(WORDS.len() as u64) as usize];
            let end = if random.one_in(2) {
                taken.start
            } else {
                taken.end
            };
            input.splice(taken.start..end, word.bytes());
        }
        5 => {
            let other = pick(corpus, random);
            let part = range(other.len(), random);
            input.splice(taken, other[part].iter().copied());
        }
        6 => {
            let other = pick(corpus, random);
            let from = random.below(other.len() as u64 + 1) as usize;
            input.truncate(taken.start);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            if let Some(digit) = input[taken.start..].iter().position(u8::is_ascii_digit) {
                input[taken.start + digit] = b'0' + random.below(10) as u8;
            }
        }
    }
}
