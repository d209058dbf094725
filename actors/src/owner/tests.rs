//! An owner whose intake fails, over a machine that does nothing.

use super::*;
use crate::epoch::Epoch;

#[derive(Debug, Default)]
struct Idle;

impl Machine for Idle {
    fn step(&mut self, _: &Intake) -> Result<Epoch, StepFault> {
        unreachable!("no epoch is begun here")
    }
    fn epoch(&self) -> EpochNumber {
        0
    }
    fn clock(&self) -> Timestamp {
        Timestamp::MIN
    }
    fn positions(&self) -> Vec<Offset> {
        vec![0]
    }
    fn readings(&self) -> Vec<Reading> {
        Vec::new()
    }
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn ready() -> Owner<Idle> {
    let mut owner = Owner::new(0, OwnerSettings::default(), Box::new(|_| Ok(Idle)));
    owner.start();
    owner.told(Told::Appended(Ok(0)));
    owner.told(Told::Snapshot(Ok(None)));
    owner.told(Told::Journal(Ok(Vec::new())));
    assert_eq!(owner.phase(), Phase::Ready);
    owner
}

#[test]
fn what_cannot_be_read_stops_a_shard_that_nothing_can_help_and_lets_others_try_again() {
    let phases = [
        (PortErrorKind::Corrupt, Phase::Stuck),
        (PortErrorKind::OutOfRange, Phase::Stuck),
        (PortErrorKind::Unavailable, Phase::Lost),
        (PortErrorKind::Closed, Phase::Lost),
    ];
    for (kind, phase) in phases {
        let mut owner = ready();
        owner.intake_failed(&PortError::new(kind, "inbox/0 at offset 7: it is torn"));
        assert_eq!(owner.phase(), phase, "{kind:?}");
        let why = owner.why().unwrap_or_default();
        assert!(why.contains("inbox/0 at offset 7: it is torn"), "{why}");
        assert!(owner.acknowledged().is_none(), "nothing of it is shown");
    }
}
