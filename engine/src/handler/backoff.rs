//! How long a failed delivery waits for its next try: exponential, capped, with jitter from a small seeded generator.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood 2014): eight bytes of state, good enough to spread retries.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly in `[-1, 1)`.
    fn signed_unit(&mut self) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "53 bits fit the mantissa exactly"
        )]
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        unit.mul_add(2.0, -1.0)
    }
}

/// Waits between tries.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    jitter: f64,
    random: SplitMix64,
}

impl Backoff {
    /// Waits that double from `first` up to `most`, each longer or shorter by up to the share `jitter` (0 to 1).
    pub(super) fn new(first: Duration, most: Duration, jitter: f64, seed: u64) -> Self {
        Self {
            first,
            most: most.max(first),
            jitter: jitter.clamp(0.0, 1.0),
            random: SplitMix64(seed),
        }
    }

    /// The wait after so many failures (from 1), never outside `[first, most]`; what the other side asked for is the
    /// least that it gets, up to `most`.
    pub(super) fn wait(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let plain = self.first.saturating_mul(doubled).min(self.most);
        let factor = self.jitter.mul_add(self.random.signed_unit(), 1.0);
        let spread = plain.mul_f64(factor.max(0.0)).clamp(self.first, self.most);
        asked.map_or(spread, |asked| spread.max(asked).min(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(300);

    #[test]
    fn without_jitter_waits_double_from_one_second_to_five_minutes() {
        let mut backoff = Backoff::new(FIRST, MOST, 0.0, 1);
        let waits: Vec<u64> = (1..=11).map(|n| backoff.wait(n, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff.wait(u32::MAX, None), MOST);
    }

    #[test]
    fn jitter_stays_within_its_share_and_is_the_same_for_the_same_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(FIRST, MOST, 0.2, seed);
            (0..1000).map(|_| backoff.wait(5, None)).collect::<Vec<_>>()
        };
        let first = waits(7);
        let (low, high) = (Duration::from_millis(12_800), Duration::from_millis(19_200));
        assert!(first.iter().all(|wait| (low..=high).contains(wait)));
        assert!(
            first
                .iter()
                .any(|wait| *wait < Duration::from_millis(13_500))
        );
        assert!(
            first
                .iter()
                .any(|wait| *wait > Duration::from_millis(18_500))
        );
        assert_eq!(first, waits(7));
        assert_ne!(first, waits(8));
    }

    #[test]
    fn what_the_other_side_asked_for_is_respected_up_to_the_cap() {
        let mut backoff = Backoff::new(FIRST, MOST, 0.0, 1);
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(backoff.wait(1, asked(30)), Duration::from_secs(30));
        assert_eq!(backoff.wait(7, asked(30)), Duration::from_secs(64));
        assert_eq!(backoff.wait(1, asked(86_400)), MOST);
        assert_eq!(backoff.wait(1, asked(0)), FIRST);
    }
}
