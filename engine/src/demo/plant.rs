//! Twenty machines: daily cycles (a day lasts two minutes here), noise, and faults that come and go: overheating, a bad
//! bearing, a stalled drive, pressure swings, and dropouts.

use std::fmt::Write as _;
use std::time::Duration;

use tidegate_proto::time::Timestamp;

use crate::engine::IngestEvent;

const MACHINES: u32 = 20;
/// Seconds of a simulated day.
const DAY: f64 = 120.0;
/// Seconds after which the script of faults begins again.
const ROUND: f64 = 90.0;

/// The simulated plant.
#[derive(Debug)]
pub(super) struct Plant {
    random: u64,
}

/// A machine at a moment.
struct Machine {
    number: u32,
    seconds: f64,
}

impl Plant {
    pub(super) const fn new(seed: u64) -> Self {
        Self { random: seed }
    }

    /// A number in -1..1 (xorshift64*, Vigna 2016): the same plant at every start.
    fn noise(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        #[allow(clippy::cast_precision_loss, reason = "24 bits fit a double")]
        let unit = bits as f64 / f64::from(1_u32 << 24);
        unit.mul_add(2.0, -1.0)
    }

    /// One event of every machine that is heard now.
    pub(super) fn events(&mut self, now: Timestamp, running: Duration) -> Vec<IngestEvent> {
        let seconds = running.as_secs_f64();
        (0..MACHINES)
            .filter(|number| {
                !Machine {
                    number: *number,
                    seconds,
                }
                .is_out()
            })
            .map(|number| self.event(&Machine { number, seconds }, now))
            .collect()
    }

    fn event(&mut self, machine: &Machine, now: Timestamp) -> IngestEvent {
        let name = machine.name();
        let mut body = String::with_capacity(256);
        let (kind, hall) = (machine.kind(), machine.hall());
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            r#"{{"resource":"{name}","time":{},"type":"{kind}","labels":{{"hall":"{hall}"}},"values":{{"temperature":{:.2},"pressure":{:.2},"vibration":{:.2},"rpm":{:.0},"power":{:.2},"state":"run"}}}}"#,
            now.0,
            machine.temperature() + self.noise(),
            machine.pressure() + 0.1 * self.noise(),
            machine.vibration() + 0.2 * self.noise(),
            machine.rpm() + 20.0 * self.noise(),
            machine.power() + 0.3 * self.noise(),
        );
        IngestEvent {
            key: name,
            body: body.into(),
        }
    }
}

impl Machine {
    fn name(&self) -> String {
        format!("{}-{:02}", self.kind(), self.number + 1)
    }

    const fn kind(&self) -> &'static str {
        if self.number < 8 { "boiler" } else { "pump" }
    }

    const fn hall(&self) -> &'static str {
        if self.number.is_multiple_of(2) {
            "north"
        } else {
            "south"
        }
    }

    /// Whether a fault of a machine is on: from a second of the round on, for so long.
    fn fault(&self, number: u32, from: f64, lasts: f64) -> bool {
        let at = self.seconds % ROUND;
        self.number == number && at >= from && at < from + lasts
    }

    /// Dropouts: a machine is not heard at all.
    fn is_out(&self) -> bool {
        self.fault(13, 20.0, 14.0) || self.fault(5, 55.0, 16.0)
    }

    /// The time of day as a wave, every machine a little apart.
    fn wave(&self) -> f64 {
        (std::f64::consts::TAU * (self.seconds / DAY + f64::from(self.number) / 40.0)).sin()
    }

    fn temperature(&self) -> f64 {
        let base = if self.kind() == "boiler" { 72.0 } else { 50.0 };
        let heat = if self.fault(2, 8.0, 25.0) || self.fault(6, 48.0, 20.0) {
            30.0
        } else {
            0.0
        };
        self.wave().mul_add(6.0, base) + heat
    }

    fn pressure(&self) -> f64 {
        let swing = if self.fault(10, 30.0, 20.0) {
            1.6 * (self.seconds * 0.9).sin()
        } else {
            0.0
        };
        self.wave().mul_add(0.2, 6.0) + swing
    }

    fn vibration(&self) -> f64 {
        if self.fault(9, 40.0, 3.0) { 7.0 } else { 1.0 }
    }

    fn rpm(&self) -> f64 {
        if self.fault(15, 15.0, 12.0) {
            30.0
        } else {
            self.wave().mul_add(80.0, 1450.0)
        }
    }

    fn power(&self) -> f64 {
        self.wave().mul_add(4.0, 6.0)
    }
}
