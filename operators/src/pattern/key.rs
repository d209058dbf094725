//! [`Key`]: all attempts of one key: their births, copies, matches and what a match drops.

mod leave;
mod ways;

use serde::{Deserialize, Serialize};

use self::leave::{copy_of, dropped_by};
use super::attempt::Fate;
use super::{Attempt, AttemptEnd, Copies, Drops, Fit, Found, KeyLimits, Machine, Scene, Taken};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// Attempts of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    attempts: Vec<Attempt>,
    /// Attempts made so far.
    made: u64,
    /// Rows seen so far.
    order: u64,
    /// The first wait has begun.
    pub(crate) born: bool,
    /// There will be no more attempts.
    stopped: bool,
}

/// A row or timer at work on a key.
struct Work<'a> {
    machine: &'a Machine,
    at: i64,
    /// Nothing is told of an earlier time.
    floor: i64,
    limits: KeyLimits,
    scene: &'a mut dyn Scene,
    /// A match was told at this row.
    matched: bool,
    /// An attempt was broken by this row.
    broke: bool,
    /// Copies made at this row, and whether they may take it.
    copies: Vec<(Attempt, bool)>,
    /// The attempt that was to go on was dropped: another begins in its place, and whether it may take this row.
    anew: Option<bool>,
}

impl<'a> Work<'a> {
    const fn new(
        machine: &'a Machine,
        at: i64,
        limits: KeyLimits,
        scene: &'a mut dyn Scene,
    ) -> Self {
        Self {
            machine,
            at,
            floor: NEVER,
            limits,
            scene,
            matched: false,
            broke: false,
            copies: Vec::new(),
            anew: None,
        }
    }

    /// Whether the row at hand may not begin an attempt, because of what it did to others.
    const fn blocked(&self) -> bool {
        let reuse = self.machine.reuse;
        (self.matched && !reuse.matched) || (self.broke && !reuse.broken)
    }

    /// Whether the row at hand begins an attempt whatever waits.
    fn may_begin(&mut self) -> bool {
        let machine = self.machine;
        let free = matches!(machine.drops, Drops::Nothing | Drops::SameFirst);
        if machine.copies != Copies::Rows || (self.blocked() && !free) {
            return false;
        }
        self.scene.turn();
        let Some(tests) = &machine.begins else {
            return true;
        };
        let mut fits = tests.iter().map(|test| self.scene.fit(*test, &[]));
        fits.any(|fit| fit == Fit::Yes)
    }

    /// An attempt ends; one that has nothing yet was none.
    fn ended(&mut self, attempt: &Attempt, how: AttemptEnd) {
        if !attempt.rows.is_empty() || !attempt.begins_anew() {
            self.scene.ended(attempt, how, self.at);
        }
    }

    /// Whether an attempt that is dropped has to be replaced, or the key would be without one for ever.
    fn heads(&self, attempt: &Attempt) -> bool {
        !attempt.left && matches!(self.machine.copies, Copies::Span { .. })
    }
}

impl Key {
    /// Something of it and of its first attempt.
    #[inline]
    pub(crate) fn words(&self) -> u64 {
        self.order ^ self.attempts.first().map_or(0, |attempt| attempt.made)
    }

    /// Whether a row that no first element takes can be passed over.
    pub(crate) fn is_idle(&self, machine: &Machine) -> bool {
        self.attempts.is_empty() && machine.copies == Copies::Rows
    }

    /// The first wait begins.
    pub(crate) fn begin(&mut self, machine: &Machine, at: i64) {
        if std::mem::replace(&mut self.born, true) || machine.copies == Copies::Rows {
            return;
        }
        let attempt = Attempt::new(machine, self.number(), at);
        self.attempts.push(attempt);
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The next time at which something happens without a row.
    pub(crate) fn due(&self, machine: &Machine) -> i64 {
        let dues = self.attempts.iter().map(|attempt| attempt.next(machine).0);
        dues.min().unwrap_or(IDLE)
    }

    /// A row of the key that some element looks at.
    pub(crate) fn row(
        &mut self,
        machine: &Machine,
        at: i64,
        limits: KeyLimits,
        scene: &mut dyn Scene,
    ) {
        self.order += 1;
        self.begin(machine, at);
        let mut work = Work::new(machine, at, limits, scene);
        if machine.is_wide() {
            self.row_of_ways(&mut work);
            return;
        }
        let mut complete = Vec::new();
        let mut index = 0;
        while let Some(attempt) = self.attempts.get_mut(index) {
            if attempt.begins_anew() && !machine.born_waiting {
                // Whether the row may begin it depends on what the row does to the others.
                index += 1;
                continue;
            }
            work.scene.turn();
            let fate = attempt.row(machine, (at, self.order), work.scene);
            let long = attempt.rows.len() > limits.rows;
            self.leave(index, fate, &mut work);
            match fate {
                Fate::Broken | Fate::Expired => {
                    work.broke = true;
                    let gone = self.attempts.remove(index);
                    work.ended(&gone, AttemptEnd::Broken);
                    continue;
                }
                Fate::Complete => complete.extend(self.attempts.get(index).map(|a| a.made)),
                Fate::Waits | Fate::Moved if long => {
                    work.scene.dropped();
                    let dropped = self.attempts.remove(index);
                    work.ended(&dropped, AttemptEnd::Limit);
                    if work.heads(&dropped) {
                        work.anew = Some(false);
                    }
                    continue;
                }
                Fate::Waits | Fate::Moved => {}
            }
            index += 1;
        }
        for made in complete {
            self.complete(made, &mut work);
        }
        self.births(&mut work);
        self.tidy(&mut work);
    }

    /// Leaves a copy behind, if this is the moment.
    fn leave(&mut self, index: usize, fate: Fate, work: &mut Work<'_>) {
        let number = self.made + 1;
        if let Some(attempt) = self.attempts.get_mut(index)
            && let Some(copy) = copy_of(attempt, (number, self.order), fate, work)
        {
            self.made = number;
            work.copies.push(copy);
        }
    }

    /// An attempt has matched, unless an older match has dropped it.
    fn complete(&mut self, made: u64, work: &mut Work<'_>) {
        let Some(index) = self.attempts.iter().position(|a| a.made == made) else {
            return;
        };
        let attempt = self.attempts.remove(index);
        self.finish(&attempt, work);
    }

    /// An attempt has matched at the row at hand; answers whether that counts.
    fn finish(&mut self, attempt: &Attempt, work: &mut Work<'_>) -> bool {
        let now = work.at;
        let last = attempt.last().filter(|(order, _)| *order != self.order);
        if let Some((_, at)) = last {
            // A repetition that could take no more reports at its last row.
            work.at = at;
        }
        let told = self.tell(attempt, work);
        work.matched |= told && last.is_none();
        work.at = now;
        told
    }

    /// Tells a match; answers whether it counts.
    fn tell(&mut self, attempt: &Attempt, work: &mut Work<'_>) -> bool {
        let found = Found {
            rows: &attempt.rows,
            start: attempt.start(work.machine),
            at: work.at,
            timeout: false,
        };
        if !work.scene.matched(&found) {
            work.ended(attempt, AttemptEnd::Hidden);
            return false;
        }
        work.ended(attempt, AttemptEnd::Matched);
        self.stopped |= work.machine.copies == Copies::Never;
        self.drop_others(attempt, work);
        true
    }

    fn drop_others(&mut self, matched: &Attempt, work: &mut Work<'_>) {
        let drops = dropped_by(work.machine.drops, matched);
        let mut anew = false;
        self.attempts.retain(|other| {
            let drop = drops(other);
            anew |= drop && work.heads(other);
            if drop {
                work.ended(other, AttemptEnd::Skipped);
            }
            !drop
        });
        if anew {
            work.anew = Some(work.machine.reuse.matched);
        }
    }

    /// New attempts at the row at hand.
    fn births(&mut self, work: &mut Work<'_>) {
        let machine = work.machine;
        for (mut copy, may_take) in self.beginners(work) {
            if self.stopped {
                break;
            }
            if may_take && !work.blocked() {
                work.scene.turn();
                let fate = copy.row(machine, (work.at, self.order), work.scene);
                self.settle(copy, fate, work);
            } else {
                self.attempts.push(copy);
            }
        }
        // What is left behind now takes only later rows.
        self.wait(work);
        if !work.may_begin() {
            return;
        }
        let mut attempt = Attempt::new(machine, self.number(), work.at);
        let fate = attempt.row(machine, (work.at, self.order), work.scene);
        match fate {
            Fate::Moved => self.attempts.push(attempt),
            Fate::Complete => {
                self.tell(&attempt, work);
            }
            Fate::Waits | Fate::Broken | Fate::Expired => self.made -= 1,
        }
    }

    /// Attempts that the row at hand may begin: the one that waits for a first row, and those made at this row.
    fn beginners(&mut self, work: &mut Work<'_>) -> Vec<(Attempt, bool)> {
        let machine = work.machine;
        let mut found = Vec::new();
        if machine.copies == Copies::Rows {
            return found;
        }
        let mut place = if machine.born_waiting {
            self.attempts.len()
        } else {
            0
        };
        while let Some(attempt) = self.attempts.get(place) {
            if attempt.begins_anew() {
                found.push((self.attempts.remove(place), true));
            } else {
                place += 1;
            }
        }
        found.append(&mut work.copies);
        if let Some(may_take) = work.anew.take() {
            found.push((Attempt::new(machine, self.number(), work.at), may_take));
        }
        found
    }

    /// What was made anew waits for later rows.
    fn wait(&mut self, work: &mut Work<'_>) {
        let copies = std::mem::take(&mut work.copies);
        let anew = work.anew.take();
        if self.stopped {
            return;
        }
        self.attempts
            .extend(copies.into_iter().map(|(copy, _)| copy));
        if anew.is_some() {
            let attempt = Attempt::new(work.machine, self.number(), work.at);
            self.attempts.push(attempt);
        }
    }

    /// An attempt that has looked at the row at hand.
    fn settle(&mut self, attempt: Attempt, fate: Fate, work: &mut Work<'_>) {
        match fate {
            Fate::Waits | Fate::Moved | Fate::Complete => {
                let made = attempt.made;
                self.attempts.push(attempt);
                let index = self.attempts.len() - 1;
                self.leave(index, fate, work);
                if fate == Fate::Complete {
                    self.complete(made, work);
                }
            }
            Fate::Broken | Fate::Expired if work.machine.after_break => {
                work.ended(&attempt, AttemptEnd::Broken);
                let again = Attempt::new(work.machine, attempt.made, work.at);
                self.attempts.push(again);
            }
            Fate::Broken | Fate::Expired => work.ended(&attempt, AttemptEnd::Broken),
        }
    }

    /// No more attempts than the limit, the oldest first.
    fn tidy(&mut self, work: &mut Work<'_>) {
        self.sort();
        while self.attempts.len() > work.limits.attempts.max(1) {
            let dropped = self.attempts.remove(0);
            work.ended(&dropped, AttemptEnd::Limit);
            work.scene.dropped();
        }
    }

    /// Older first: by first row, those without one last; ways of one attempt by their rows.
    fn sort(&mut self) {
        if !self.attempts.is_sorted_by(|a, b| a.age(b).is_le()) {
            self.attempts.sort_by(Attempt::age);
        }
    }

    /// Everything that is due up to a time happens, in the order of its time.
    pub(crate) fn time(
        &mut self,
        machine: &Machine,
        bound: i64,
        limits: KeyLimits,
        scene: &mut dyn Scene,
    ) {
        self.pass(machine, (NEVER, bound), limits, scene);
    }

    /// The same; nothing is told of a time before `floor`: a revision has made it due.
    pub(crate) fn pass(
        &mut self,
        machine: &Machine,
        (floor, bound): (i64, i64),
        limits: KeyLimits,
        scene: &mut dyn Scene,
    ) {
        loop {
            let dues = self.attempts.iter().enumerate().map(|(index, attempt)| {
                let (due, expiry) = attempt.next(machine);
                (due, !expiry, index)
            });
            let Some((due, _, index)) = dues.min().filter(|(due, ..)| *due <= bound) else {
                return;
            };
            let mut work = Work::new(machine, due.max(floor), limits, scene);
            work.floor = floor;
            if machine.is_wide() {
                self.timer_of_ways(index, &mut work);
            } else {
                self.timer(index, &mut work);
                self.wait(&mut work);
                self.tidy(&mut work);
            }
            let at = work.at;
            work.scene.rests(&self.attempts, at);
        }
    }

    fn timer(&mut self, index: usize, work: &mut Work<'_>) {
        let machine = work.machine;
        let Some(attempt) = self.attempts.get_mut(index) else {
            return;
        };
        let due = work.at;
        let expires = attempt.due(machine).1;
        let fate = attempt.time(machine, due);
        let made = attempt.made;
        self.leave(index, fate, work);
        match fate {
            Fate::Waits | Fate::Moved => {}
            Fate::Complete => {
                let attempt = self.attempts.remove(index);
                // A repetition that could take no more reports at its last row.
                let last = attempt.last().map(|(_, at)| at);
                if let (true, true, Some(last)) =
                    (expires, machine.longest && !machine.ends_in_not, last)
                {
                    work.at = last;
                }
                self.tell(&attempt, work);
                work.at = due;
            }
            Fate::Broken | Fate::Expired => {
                if let Some(index) = self.attempts.iter().position(|a| a.made == made) {
                    let attempt = self.attempts.remove(index);
                    work.ended(&attempt, AttemptEnd::Expired);
                    self.tell_timeout(&attempt, work);
                }
            }
        }
    }

    fn tell_timeout(&self, attempt: &Attempt, work: &mut Work<'_>) {
        if !work.machine.tell_timeout || attempt.last().is_none() {
            return;
        }
        let whole = match work.machine.within {
            0 => IDLE,
            within => attempt.began.saturating_add(within),
        };
        // An element's own `within` ends one millisecond before its timer.
        let at = if work.at < whole {
            work.at.saturating_sub(1)
        } else {
            whole.max(work.floor)
        };
        work.scene.matched(&Found {
            rows: &attempt.rows,
            start: attempt.start(work.machine),
            at,
            timeout: true,
        });
    }

    /// What became of the attempts when rows' values are kept in another layout: each row is given anew.
    pub(crate) fn each_row(&mut self, change: &mut dyn FnMut(&mut Taken)) {
        for attempt in &mut self.attempts {
            attempt.rows.iter_mut().for_each(&mut *change);
        }
    }

    /// Its attempts, the oldest first.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(crate) fn bytes(&self) -> usize {
        self.attempts.iter().map(Attempt::bytes).sum()
    }
}
