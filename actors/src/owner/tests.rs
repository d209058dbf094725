//! An owner whose intake fails, over a machine that does nothing.

use super::*;
use crate::epoch::Epoch;

#[derive(Debug, Default)]
struct Idle(EpochNumber);

impl Machine for Idle {
    fn step(&mut self, intake: &Intake) -> Result<Epoch, StepFault> {
        self.0 = intake.epoch;
        Ok(Epoch {
            number: intake.epoch,
            ..Epoch::default()
        })
    }
    fn epoch(&self) -> EpochNumber {
        self.0
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
    let settings = OwnerSettings {
        snapshot_epochs: 2,
        ..OwnerSettings::default()
    };
    let mut owner = Owner::new(0, settings, Box::new(|_| Ok(Idle(0))));
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

/// One epoch from its beginning to its publication; what is wanted then.
fn epoch(owner: &mut Owner<Idle>, journal: Offset) -> Vec<Ask> {
    assert!(owner.can_begin(), "{owner:?}");
    let range = OffsetRange { from: 0, to: 0 };
    owner.begin(vec![range], Vec::new(), Timestamp(journal));
    let asks = owner.told(Told::Appended(Ok(journal)));
    assert!(matches!(asks.as_slice(), [Ask::Publish(_)]), "{asks:?}");
    owner.told(Told::Published(Ok(())))
}

#[test]
fn a_snapshot_that_comes_due_while_one_is_written_is_taken_when_that_is_done() {
    let mut owner = ready();
    assert!(epoch(&mut owner, 1).is_empty());
    assert!(matches!(
        epoch(&mut owner, 2).as_slice(),
        [Ask::Keep { .. }]
    ));
    // It takes a while to write; epochs go on.
    for journal in 3..7 {
        assert!(epoch(&mut owner, journal).is_empty());
    }
    let asks = owner.told(Told::Kept(Ok(())));
    assert!(matches!(asks.as_slice(), [Ask::Keep { .. }]), "{asks:?}");
    assert!(epoch(&mut owner, 7).is_empty());
    assert!(owner.told(Told::Kept(Ok(()))).is_empty());
    assert!(owner.can_begin());
}
