//! Virtual actors: an address, private state, one message at a time. [`Actor`] is what each kind implements, [`Turn`]
//! what a turn may ask for, [`take_turn`] the supervision around it.
//!
//! A turn is synchronous, does no I/O and reads no clock. A turn that fails or panics is rolled back whole: the actor is
//! as it was before, its effects are gone, and the message is dead-lettered by the shard with the reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{Headers, Record};

use crate::command::{Change, Signal};
use crate::epoch::{Destination, OutputOrder};

/// Failed turns in a row after which an actor is quarantined.
pub const STRIKES: u32 = 3;

/// Receives everything addressed to one id.
pub trait Actor {
    /// What it understands.
    type Message<'a>;
    /// What it was before a turn, as far as a turn that fails can have changed it.
    type Before;

    /// What it is now. Taken before every turn, so it must cost next to nothing for actors with many turns.
    fn before(&self) -> Self::Before;

    /// Makes it what it was.
    fn restore(&mut self, before: Self::Before);

    /// Handles one message to completion.
    ///
    /// # Errors
    /// When the message cannot be handled; the shard rolls the turn back and dead-letters the message.
    fn receive(&mut self, message: Self::Message<'_>, turn: &mut Turn) -> Result<(), ActorError>;
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// The message does not make sense to this actor.
    #[error("{0}")]
    Message(String),
    /// The turn panicked: a bug of ours.
    #[error("the turn panicked: {0}")]
    Panicked(String),
    /// The actor failed too often and takes no more messages.
    #[error("the actor is quarantined after {STRIKES} failed turns: {0}")]
    Quarantined(String),
}

/// Body of an output: whole, or waiting for its own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// As it is.
    Whole(Bytes),
    /// A JSON object without its opening brace: the id goes in front as the first member.
    WithId(String),
}

/// What a turn asks the world to do.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Where it goes.
    pub destination: Destination,
    /// Key of the record.
    pub key: Bytes,
    /// Its body.
    pub body: Body,
    /// Headers beside the id.
    pub headers: Headers,
    /// A record to be passed on as it was, instead of key, body and headers (dead letters, signals).
    pub whole: Option<Record>,
    /// What of the intake made it.
    pub trigger: Trigger,
    /// Order among result lines, for those that are, and what belongs to them.
    pub order: Option<Arc<OutputOrder>>,
}

/// What an actor may ask for during its turn.
#[derive(Debug)]
pub struct Turn {
    trigger: Trigger,
    partitions: u32,
    effects: Vec<Effect>,
}

impl Turn {
    /// A turn caused by a record of the intake, or the clock.
    #[must_use]
    pub const fn new(trigger: Trigger, partitions: u32) -> Self {
        Self {
            trigger,
            partitions,
            effects: Vec::new(),
        }
    }

    /// What of the intake caused this turn.
    #[must_use]
    pub const fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// How many shards there are.
    #[must_use]
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Emits a record.
    pub fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Emits a change.
    pub fn change(&mut self, key: &Arc<str>, change: &Change) {
        let body = Body::Whole(serde_json::to_vec(change).unwrap_or_default().into());
        self.plain(Destination::Changes, key, body);
    }

    /// Emits a record that is no result line.
    pub fn plain(&mut self, destination: Destination, key: &Arc<str>, body: Body) {
        self.effects.push(Effect {
            destination,
            key: Bytes::copy_from_slice(key.as_bytes()),
            body,
            headers: Vec::new(),
            whole: None,
            trigger: self.trigger,
            order: None,
        });
    }

    /// Tells every shard: a record on each inbox, never a send in memory.
    pub fn tell_all(&mut self, signal: &Signal) {
        for partition in 0..self.partitions {
            self.pass_on(Destination::Signal(partition), signal.to_record());
        }
    }

    /// Passes a record on as it is.
    pub fn pass_on(&mut self, destination: Destination, record: Record) {
        self.effects.push(Effect {
            destination,
            key: Bytes::new(),
            body: Body::Whole(Bytes::new()),
            headers: Vec::new(),
            whole: Some(record),
            trigger: self.trigger,
            order: None,
        });
    }

    /// What the turn asked for.
    #[must_use]
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }
}

/// One supervised turn: on failure the actor is as before and nothing of the turn remains.
///
/// # Errors
/// What the actor answered, or that it panicked.
pub fn take_turn<A: Actor>(
    actor: &mut A,
    message: A::Message<'_>,
    mut turn: Turn,
) -> Result<Vec<Effect>, ActorError> {
    let before = actor.before();
    let outcome = catch_unwind(AssertUnwindSafe(|| actor.receive(message, &mut turn)));
    match outcome {
        Ok(Ok(())) => Ok(turn.into_effects()),
        Ok(Err(error)) => {
            actor.restore(before);
            Err(error)
        }
        Err(panic) => {
            actor.restore(before);
            Err(ActorError::Panicked(panic_text(panic.as_ref())))
        }
    }
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Counter(u32);

    impl Actor for Counter {
        type Message<'a> = &'a str;
        type Before = Self;

        fn before(&self) -> Self {
            self.clone()
        }

        fn restore(&mut self, before: Self) {
            *self = before;
        }

        fn receive(&mut self, message: &str, turn: &mut Turn) -> Result<(), ActorError> {
            self.0 += 1;
            turn.plain(
                Destination::Changes,
                &Arc::from("k"),
                Body::Whole(Bytes::copy_from_slice(message.as_bytes())),
            );
            match message {
                "refuse" => Err(ActorError::Message("no".into())),
                "panic" => panic!("boom"),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn a_failed_turn_leaves_nothing() {
        let mut counter = Counter::default();
        let turn = || Turn::new(Trigger::Clock, 1);
        assert_eq!(take_turn(&mut counter, "go", turn()).unwrap().len(), 1);
        assert_eq!(
            take_turn(&mut counter, "refuse", turn()).unwrap_err(),
            ActorError::Message("no".into())
        );
        assert_eq!(
            take_turn(&mut counter, "panic", turn()).unwrap_err(),
            ActorError::Panicked("boom".into())
        );
        assert_eq!(counter.0, 1);
    }
}
