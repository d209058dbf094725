//! An owner whose intake fails, and one that followed before, over a machine that does nothing.

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

fn entry(epoch: EpochNumber, published: EpochNumber) -> JournalEntry {
    JournalEntry::Epoch(EpochEntry {
        generation: 0,
        epoch,
        ranges: vec![OffsetRange { from: 0, to: 0 }],
        records: 0,
        clock: Timestamp(0),
        published,
    })
}

fn takeover() -> JournalEntry {
    JournalEntry::Takeover { owner: "a".into() }
}

/// Follows somebody who has journalled epochs 1 to 4, of which 3 and 4 may not be published.
fn following() -> Owner<Idle> {
    let mut owner = Owner::new(0, OwnerSettings::default(), Box::new(|_| Ok(Idle(0))));
    assert!(matches!(owner.follow()[..], [Ask::LoadSnapshot]));
    let asks = owner.told(Told::Snapshot(Ok(None)));
    assert!(matches!(asks[..], [Ask::ReadJournal { from: 0, .. }]));
    let first = vec![(0, takeover()), (1, entry(1, 0)), (2, entry(2, 0))];
    let asks = owner.told(Told::Journal(Ok(first)));
    assert!(matches!(asks[..], [Ask::AwaitJournal(3)]), "{asks:?}");
    let asks = owner.told(Told::Grown(Ok(())));
    assert!(matches!(asks[..], [Ask::ReadJournal { from: 3, .. }]));
    let more = vec![(3, entry(3, 1)), (4, entry(4, 2))];
    let asks = owner.told(Told::Journal(Ok(more)));
    assert!(matches!(asks[..], [Ask::AwaitJournal(5)]), "{asks:?}");
    assert_eq!(owner.phase(), Phase::Following);
    assert!(owner.acknowledged().is_none(), "a follower shows nothing");
    owner
}

#[test]
fn who_followed_replays_the_rest_alone_and_publishes_what_may_not_be_out() {
    let mut owner = following();
    assert!(matches!(owner.start()[..], [Ask::Append(_)]));
    let asks = owner.told(Told::Appended(Ok(7)));
    let wanted = [Ask::ReadJournal { from: 5, to: 7 }];
    assert_eq!(format!("{asks:?}"), format!("{wanted:?}"));
    // One more of the owner that was followed; then somebody took over for a moment.
    let rest = vec![(5, entry(5, 3)), (6, takeover())];
    let asks = owner.told(Told::Journal(Ok(rest)));
    let [Ask::Publish(publish)] = &asks[..] else {
        panic!("{asks:?}");
    };
    assert_eq!((publish.epoch, owner.published()), (5, 3));
    assert_eq!(owner.queue.len(), 0, "epochs 4 and 5 leave, 3 is out");
    assert_eq!(owner.publishing.as_ref().map(Vec::len), Some(2));
    let recovery = owner.recovery();
    assert!(recovery.warm && recovery.epochs == 1, "{recovery:?}");
    assert!(owner.is_ahead_of_snapshot(), "nobody knows how old it is");
}

#[test]
fn what_was_followed_and_taken_back_is_thrown_away() {
    let exclusion = Exclusion {
        epoch: 4,
        culprit: crate::epoch::Culprit::Record,
        at: None,
        changing: false,
        reason: "it broke later".into(),
    };
    let taken_back = |generation| JournalEntry::Exclude {
        generation,
        exclusion: exclusion.clone(),
    };
    let mut owner = following();
    let asks = owner.told(Told::Grown(Ok(())));
    assert!(matches!(asks[..], [Ask::ReadJournal { from: 5, .. }]));
    let rest = vec![(5, takeover()), (6, taken_back(5))];
    let asks = owner.told(Told::Journal(Ok(rest)));
    assert!(matches!(asks[..], [Ask::LoadSnapshot]), "{asks:?}");
    assert_eq!(owner.phase(), Phase::Following);

    // The same, learnt at the takeover alone.
    let mut owner = following();
    owner.start();
    owner.told(Told::Appended(Ok(7)));
    let rest = vec![(5, takeover()), (6, taken_back(5))];
    let asks = owner.told(Told::Journal(Ok(rest)));
    assert!(matches!(asks[..], [Ask::LoadSnapshot]), "{asks:?}");
    let asks = owner.told(Told::Snapshot(Ok(None)));
    assert!(matches!(asks[..], [Ask::ReadJournal { from: 0, to: 7 }]));
    assert!(!owner.recovery().warm);
}

#[test]
fn who_follows_begins_again_when_history_is_gone() {
    let mut owner = following();
    owner.told(Told::Grown(Ok(())));
    let gone = PortError::new(PortErrorKind::OutOfRange, "retention passed it");
    assert!(owner.told(Told::Journal(Err(gone))).is_empty());
    assert_eq!(owner.phase(), Phase::Lost);
    assert!(matches!(owner.follow()[..], [Ask::LoadSnapshot]));
}
