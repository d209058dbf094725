//! [`Key`]: all attempts of one key: their births, copies, matches and what a match drops.

use serde::{Deserialize, Serialize};

use super::attempt::Fate;
use super::{Attempt, Copies, Drops, Fit, Found, KeyLimits, Machine, Scene, Taken};
use crate::timer::IDLE;

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
    limits: KeyLimits,
    scene: &'a mut dyn Scene,
    /// A match was told at this row.
    matched: bool,
    /// An attempt was broken by this row.
    broke: bool,
    /// Copies made at this row, and whether they may take it.
    copies: Vec<(Attempt, bool)>,
}

impl Key {
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
        let dues = self.attempts.iter().map(|attempt| attempt.due(machine).0);
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
        let mut work = Work {
            machine,
            at,
            limits,
            scene,
            matched: false,
            broke: false,
            copies: Vec::new(),
        };
        let mut complete = Vec::new();
        let mut index = 0;
        while let Some(attempt) = self.attempts.get_mut(index) {
            work.scene.turn();
            let fate = attempt.row(machine, (at, self.order), work.scene);
            let long = attempt.rows.len() > limits.rows;
            self.leave(index, fate, &mut work);
            match fate {
                Fate::Broken | Fate::Expired => {
                    work.broke = true;
                    self.attempts.remove(index);
                    continue;
                }
                Fate::Complete => complete.extend(self.attempts.get(index).map(|a| a.made)),
                Fate::Waits | Fate::Moved if long => {
                    work.scene.dropped();
                    self.attempts.remove(index);
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
        self.sort();
    }

    /// Leaves a copy behind, if this is the moment.
    fn leave(&mut self, index: usize, fate: Fate, work: &mut Work<'_>) {
        let machine = work.machine;
        let number = self.made + 1;
        let Some(attempt) = self.attempts.get_mut(index) else {
            return;
        };
        if attempt.left {
            return;
        }
        let copy = match (fate, machine.copies) {
            (Fate::Moved | Fate::Complete, Copies::Span { to, .. })
                if attempt.passed(machine, to) =>
            {
                attempt.left = true;
                let matched = fate == Fate::Complete && machine.reuse.matched;
                attempt
                    .copy(machine, number, work.at)
                    .map(|copy| (copy, matched))
            }
            (Fate::Broken, Copies::Span { .. }) if machine.after_break => {
                let copy = attempt.copy(machine, number, work.at);
                copy.map(|copy| (copy, machine.reuse.broken))
            }
            (Fate::Expired, Copies::Span { .. }) if machine.after_expiry => {
                let copy = attempt.copy(machine, number, work.at);
                copy.filter(Attempt::begins_anew).map(|copy| (copy, true))
            }
            (Fate::Broken, Copies::Never) if machine.after_break => {
                Some((Attempt::new(machine, number, work.at), machine.reuse.broken))
            }
            (Fate::Expired, Copies::Never) if machine.after_expiry => {
                Some((Attempt::new(machine, number, work.at), true))
            }
            _ => None,
        };
        if let Some(copy) = copy {
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
        let now = work.at;
        if let Some((order, at)) = attempt.last()
            && order != self.order
        {
            // A repetition that could take no more reports at its last row.
            work.at = at;
        }
        self.tell(&attempt, work);
        work.at = now;
    }

    fn tell(&mut self, attempt: &Attempt, work: &mut Work<'_>) {
        let found = Found {
            rows: &attempt.rows,
            start: attempt.start(),
            at: work.at,
            timeout: false,
        };
        if !work.scene.matched(&found) {
            return;
        }
        work.matched = true;
        self.stopped |= work.machine.copies == Copies::Never;
        self.drop_others(attempt, work.machine.drops);
    }

    fn drop_others(&mut self, matched: &Attempt, drops: Drops) {
        let first = matched.first();
        let row_of = |alias, last: bool| {
            let of = |taken: &&Taken| taken.alias == alias && taken.row.is_some();
            let rows = &matched.rows;
            let found = if last {
                rows.iter().rev().find(of)
            } else {
                rows.iter().find(of)
            };
            found.map(|taken| taken.order)
        };
        let same = |other: &Attempt| other.first() == first && first != u64::MAX;
        let before = |bound: Option<u64>, other: &Attempt| match bound {
            Some(bound) => other.first() < bound,
            None => same(other),
        };
        let last = matched.last();
        self.attempts.retain(|other| match drops {
            Drops::Nothing => true,
            Drops::SameFirst => !same(other),
            Drops::PastLast => last.is_none_or(|last| !other.began_by(last)),
            Drops::BeforeFirst(alias) => !before(row_of(alias, false), other),
            Drops::BeforeLast(alias) => !before(row_of(alias, true), other),
        });
    }

    /// New attempts at the row at hand.
    fn births(&mut self, work: &mut Work<'_>) {
        let machine = work.machine;
        for (mut copy, may_take) in std::mem::take(&mut work.copies) {
            if self.stopped {
                break;
            }
            if may_take {
                work.scene.turn();
                let fate = copy.row(machine, (work.at, self.order), work.scene);
                self.settle(copy, fate, work);
            } else {
                self.attempts.push(copy);
            }
        }
        let free = matches!(machine.drops, Drops::Nothing | Drops::SameFirst);
        let blocked =
            (work.matched && !machine.reuse.matched) || (work.broke && !machine.reuse.broken);
        if machine.copies != Copies::Rows || (blocked && !free) {
            return;
        }
        work.scene.turn();
        if let Some(tests) = &machine.begins {
            let mut fits = tests.iter().map(|test| work.scene.fit(*test, &[]));
            if !fits.any(|fit| fit == Fit::Yes) {
                return;
            }
        }
        let mut attempt = Attempt::new(machine, self.number(), work.at);
        let fate = attempt.row(machine, (work.at, self.order), work.scene);
        match fate {
            Fate::Moved => self.add(attempt, work),
            Fate::Complete => self.tell(&attempt, work),
            Fate::Waits | Fate::Broken | Fate::Expired => self.made -= 1,
        }
    }

    /// A copy that has looked at the row at hand.
    fn settle(&mut self, copy: Attempt, fate: Fate, work: &mut Work<'_>) {
        match fate {
            Fate::Waits | Fate::Moved | Fate::Complete => {
                let made = copy.made;
                self.add(copy, work);
                let index = self.attempts.iter().position(|a| a.made == made);
                let Some(index) = index else { return };
                self.leave(index, fate, work);
                if fate == Fate::Complete {
                    self.complete(made, work);
                }
                // What is left behind now takes only later rows.
                let copies = std::mem::take(&mut work.copies);
                if !self.stopped {
                    self.attempts
                        .extend(copies.into_iter().map(|(copy, _)| copy));
                }
            }
            Fate::Broken | Fate::Expired => {
                let again = Attempt::new(work.machine, copy.made, work.at);
                self.attempts.push(again);
            }
        }
    }

    fn add(&mut self, attempt: Attempt, work: &mut Work<'_>) {
        if self.attempts.len() >= work.limits.attempts && !self.attempts.is_empty() {
            self.attempts.remove(0);
            work.scene.dropped();
        }
        self.attempts.push(attempt);
    }

    /// Older first: by first row, those without one last.
    fn sort(&mut self) {
        let key = |attempt: &Attempt| (attempt.first(), attempt.made);
        if !self.attempts.is_sorted_by_key(key) {
            self.attempts.sort_by_key(key);
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
        loop {
            let dues = self.attempts.iter().enumerate().map(|(index, attempt)| {
                let (due, expiry) = attempt.due(machine);
                (due, !expiry, index)
            });
            let Some((due, _, index)) = dues.min().filter(|(due, ..)| *due <= bound) else {
                return;
            };
            let mut work = Work {
                machine,
                at: due,
                limits,
                scene,
                matched: false,
                broke: false,
                copies: Vec::new(),
            };
            self.timer(index, &mut work);
            let stopped = self.stopped;
            for (copy, _) in work.copies.drain(..).filter(|_| !stopped) {
                self.attempts.push(copy);
            }
            while self.attempts.len() > limits.attempts {
                self.attempts.remove(0);
                work.scene.dropped();
            }
            self.sort();
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
                    self.tell_timeout(&attempt, work);
                }
            }
        }
    }

    fn tell_timeout(&self, attempt: &Attempt, work: &mut Work<'_>) {
        if !work.machine.tell_timeout || attempt.last().is_none() {
            return;
        }
        let at = attempt.began.saturating_add(work.machine.within);
        work.scene.matched(&Found {
            rows: &attempt.rows,
            start: attempt.start(),
            at: at.min(work.at),
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
