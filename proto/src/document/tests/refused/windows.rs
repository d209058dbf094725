//! What is wrong with windows.

/// Fields of a rule, and what is told.
pub(super) const WINDOWS: &[(&str, &[&str])] = &[
    (
        "window: { state: { start: \"x > 1\", min: 5m, max: 1m } }\nemit: { n: count() }",
        &[
            "4:36: rule r: window.state.min: every window would be shorter than `min`: none could ever have a result (make `min` at most `max`)",
        ],
    ),
    (
        "window: { session: { gap: 5m, at_gap: jion }, offset: 1s }\nemit: { n: count() }",
        &[
            "4:39: rule r: window.session.at_gap: `jion` is not one of split, join (did you mean `join`?)",
        ],
    ),
    (
        "window: { count: 0 }\nemit: { n: count() }",
        &["4:18: rule r: window.count: `0` is not a whole number from 1 to 100000"],
    ),
    (
        "window: { count: 5, lateness: 1s, fill: zero }\nemit: { n: count() }",
        &[
            "4:21: rule r: window.lateness: a count window takes no `lateness` (its rows are taken in row order once they are over)",
            "4:35: rule r: window.fill: a count window takes no `fill` (only windows that follow each other in time are filled)",
        ],
    ),
    (
        "window: { cumulate: { size: 5m, step: 2m } }\nemit: { n: count() }",
        &["4:11: rule r: window.cumulate: `5m` is no multiple of the step `2m`"],
    ),
    (
        "window: { calendar: { unit: day, zone: Mars/Olympus } }\nemit: { n: count() }",
        &[
            "4:40: rule r: window.calendar.zone: `Mars/Olympus` is not a time zone: write an IANA name such as `Europe/Brussels` or `UTC`",
        ],
    ),
    (
        "window: { state: { of: mode, end: x > 3 } }\nemit: { n: count() }",
        &["4:20: rule r: window.state.of: `of` stands in place of `start` and `end`"],
    ),
    (
        "window: { global: {} }\nemit: { n: count() }",
        &[
            "4:9: rule r: window: a global window never closes (write `emit: { when: n > 3 }` or `emit: { every: 10s }`)",
        ],
    ),
    (
        "window: { state: { start: x > 3 }, emit: on_change }\nemit: { n: count() }",
        &[
            "4:36: rule r: window.emit: this `emit` is not available yet for a state window (leave it out: windows emit on close)",
        ],
    ),
    (
        "window: { tumbling: 5m, emit: { every: 1s, when: n > 3 } }\nemit: { n: count() }",
        &[
            "4:31: rule r: window.emit: a window emits `every` so often or `when` something is true, not both",
        ],
    ),
];
