//! The breaker of a handler: after some failures in a row it stops calling, and after a rest asks with a single call
//! whether the other side is back.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// What a breaker does with the next call, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// No calls until the rest is over.
    Open,
    /// One call is asking whether the other side is back.
    Probing,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// Counts failures in a row and says whether to call.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    threshold: u32,
    rest: Duration,
    state: State,
}

impl Breaker {
    /// Opens after `threshold` failures in a row and rests that long before it probes.
    pub(super) fn new(threshold: u32, rest: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            rest,
            state: State::Closed { failures: 0 },
        }
    }

    /// Whether a call may be made now. A `true` of a breaker whose rest is over is the probe: the next question is
    /// answered with `false` until the probe has ended.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                true
            }
            State::Open { .. } | State::Probing => false,
        }
    }

    /// The other side answered.
    pub(super) fn answered(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// The other side failed; `true` if this opened the breaker.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures < self.threshold {
                    return false;
                }
            }
            // Calls that were under way when it opened say nothing new.
            State::Open { .. } => return false,
            State::Probing => {}
        }
        self.state = State::Open {
            until: now + self.rest,
        };
        true
    }

    /// The probe was not made after all: the next call is the probe.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if matches!(self.state, State::Probing) {
            self.state = State::Open { until: now };
        }
    }

    /// When the rest of an open breaker ends.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed { .. } | State::Probing => None,
        }
    }

    /// What it does now.
    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing => BreakerState::Probing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_decides() {
        let start = Instant::now();
        let mut breaker = Breaker::new(5, REST);
        for _ in 0..4 {
            assert!(breaker.admit(start));
            assert!(!breaker.failed(start));
        }
        breaker.answered();
        for _ in 0..4 {
            assert!(!breaker.failed(start));
        }
        assert!(breaker.failed(start));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.admit(start + REST - Duration::from_millis(1)));
        assert_eq!(breaker.opens_at(), Some(start + REST));

        assert!(breaker.admit(start + REST));
        assert_eq!(breaker.state(), BreakerState::Probing);
        assert!(!breaker.admit(start + REST), "only one probe");
        assert!(breaker.failed(start + REST));
        assert!(!breaker.admit(start + REST));

        assert!(breaker.admit(start + REST + REST));
        breaker.answered();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.admit(start + REST + REST));
    }

    #[test]
    fn calls_under_way_when_it_opened_do_not_prolong_the_rest() {
        let start = Instant::now();
        let mut breaker = Breaker::new(1, REST);
        assert!(breaker.failed(start));
        assert!(!breaker.failed(start + Duration::from_secs(20)));
        assert_eq!(breaker.opens_at(), Some(start + REST));
    }

    #[test]
    fn a_probe_that_was_not_made_is_made_by_the_next_call() {
        let start = Instant::now();
        let mut breaker = Breaker::new(1, REST);
        breaker.failed(start);
        assert!(breaker.admit(start + REST));
        breaker.abandoned(start + REST);
        assert!(breaker.admit(start + REST));
    }
}
