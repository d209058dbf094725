//! Attempts that are more than one way each (`matches: all`), or look at each other (`waiting: one`, `hold_for_older`). Ways of one
//! attempt stand side by side and have its number in common.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::leave::{copy_of, dropped_by};
use super::{Attempt, AttemptEnd, Copies, Fate, Key, Work};

/// What becomes of the ways of one attempt.
#[derive(Default)]
struct Band {
    lives: Vec<Attempt>,
    /// Matches, in order.
    done: Vec<Attempt>,
    /// A row was taken, or an absence has ended.
    moved: bool,
    /// The last way that went.
    gone: Option<Attempt>,
}

impl Band {
    /// What the attempt as a whole came to.
    fn fate(&self) -> Fate {
        match (self.done.is_empty(), self.lives.is_empty(), self.moved) {
            (false, ..) => Fate::Complete,
            (true, true, _) => Fate::Broken,
            (true, false, true) => Fate::Moved,
            (true, false, false) => Fate::Waits,
        }
    }

    /// Makes a new way, if there is room.
    fn add(&mut self, mut way: Attempt, others: usize, work: &mut Work<'_>) {
        let outcome = way.outcome(work.machine);
        self.moved = true;
        if outcome.complete && !outcome.lives {
            self.done.push(way);
            return;
        }
        if outcome.complete {
            self.done.push(way.clone());
            way.tell();
        }
        if !outcome.lives {
            self.gone = Some(way);
        } else if others + self.lives.len() < work.limits.ways.max(1) {
            self.lives.push(way);
        } else {
            work.scene.dropped_way();
        }
    }

    /// Ways that have taken the same rows and wait for the same are one, and so are equal matches.
    fn unite(&mut self, work: &Work<'_>) {
        self.done.sort_by(Attempt::age);
        self.done.dedup_by(|b, a| a.rows == b.rows);
        if !work.machine.is_ambiguous() {
            return;
        }
        self.lives.sort_by(Attempt::age);
        let mut lives: Vec<Attempt> = Vec::with_capacity(self.lives.len());
        for mut way in self.lives.drain(..) {
            let same = |other: &&Attempt| other.orders().eq(way.orders());
            let same: Vec<usize> = (0..lives.len())
                .rev()
                .take_while(|index| lives.get(*index).as_ref().is_some_and(same))
                .collect();
            let mut open = true;
            for other in same.into_iter().rev().filter_map(|index| lives.get(index)) {
                open = open && way.part_from(other, work.machine);
            }
            if open {
                lives.push(way);
            }
        }
        self.lives = lives;
    }
}

impl Key {
    /// The row at hand.
    pub(super) fn row_of_ways(&mut self, work: &mut Work<'_>) {
        let mut done = Vec::new();
        for ways in self.bands(work) {
            let band = self.run(ways, work);
            self.place(band, &mut done, work);
        }
        self.tell_all(done, work);
        self.births_of_ways(work);
        self.tidy_ways(work);
    }

    /// Takes out the attempts that look at the row at hand, each with all its ways.
    fn bands(&mut self, work: &Work<'_>) -> Vec<Vec<Attempt>> {
        let born_waiting = work.machine.born_waiting;
        let mut bands: Vec<(u64, Vec<Attempt>)> = Vec::new();
        let mut places = BTreeMap::new();
        for attempt in std::mem::take(&mut self.attempts) {
            if attempt.held().is_some() || (attempt.begins_anew() && !born_waiting) {
                self.attempts.push(attempt);
                continue;
            }
            let made = attempt.made;
            let place = *places.entry(made).or_insert(bands.len());
            match bands.get_mut(place) {
                Some((_, ways)) => ways.push(attempt),
                None => bands.push((made, vec![attempt])),
            }
        }
        bands.into_iter().map(|(_, ways)| ways).collect()
    }

    /// All ways of an attempt look at the row at hand.
    fn run(&self, ways: Vec<Attempt>, work: &mut Work<'_>) -> Band {
        let machine = work.machine;
        let mut band = Band::default();
        let mut waiting = ways.len();
        for mut way in ways {
            work.scene.turn();
            waiting -= 1;
            let row = (work.at, self.order);
            if !machine.all_ways {
                match way.row(machine, row, work.scene) {
                    Fate::Broken | Fate::Expired => band.gone = Some(way),
                    Fate::Complete => band.done.push(way),
                    Fate::Waits => band.lives.push(way),
                    Fate::Moved => {
                        band.moved = true;
                        band.lives.push(way);
                    }
                }
                continue;
            }
            let mut found = Vec::new();
            let outcome = way.fork(machine, row, work.scene, &mut found);
            if outcome.is_some_and(|outcome| outcome.complete) {
                band.done.push(way);
            } else if outcome.is_some_and(|outcome| outcome.lives) {
                band.lives.push(way);
            } else {
                band.gone = Some(way);
            }
            for way in found {
                band.add(way, waiting, work);
            }
        }
        if band.moved && machine.all_ways {
            band.unite(work);
        }
        band
    }

    /// An attempt has looked at the row at hand: its copy, its matches, what is left of it.
    fn place(&mut self, mut band: Band, done: &mut Vec<Attempt>, work: &mut Work<'_>) {
        let fate = band.fate();
        let broken = fate == Fate::Broken;
        if broken && band.gone.as_ref().is_some_and(|way| way.matched) {
            return;
        }
        work.broke |= broken;
        if let Some(gone) = band.gone.as_ref().filter(|_| broken) {
            work.ended(gone, AttemptEnd::Broken);
        }
        self.leave_of(&mut band, fate, work);
        self.keep(band, done, work);
    }

    /// Ways wait on, unless they hold too many rows.
    fn keep(&mut self, mut band: Band, done: &mut Vec<Attempt>, work: &mut Work<'_>) {
        let rows: usize = band.lives.iter().map(|way| way.rows.len()).sum();
        if rows > work.limits.rows {
            work.scene.dropped();
            let first = band.lives.first();
            if band.done.is_empty() && first.is_some_and(|way| work.heads(way)) {
                work.anew = Some(false);
            }
            if let Some(way) = band.lives.first() {
                work.ended(way, AttemptEnd::Limit);
            }
            band.lives.clear();
        }
        done.append(&mut band.done);
        self.attempts.append(&mut band.lives);
    }

    /// The attempt leaves its copy behind, if this is the moment: once, whichever of its ways comes so far first.
    fn leave_of(&mut self, band: &mut Band, fate: Fate, work: &mut Work<'_>) {
        let passed = |way: &&mut Attempt| match work.machine.copies {
            Copies::Span { to, .. } => way.passed(work.machine, to),
            _ => false,
        };
        let first = match fate {
            Fate::Complete => band.done.first_mut(),
            Fate::Moved => band.lives.iter_mut().find(passed),
            Fate::Waits => None,
            Fate::Broken | Fate::Expired => band.gone.as_mut(),
        };
        let number = self.made + 1;
        let copy = first.and_then(|way| copy_of(way, (number, self.order), fate, work));
        let matched = fate == Fate::Complete;
        if copy.is_some() || matched {
            for way in &mut band.lives {
                way.left |= copy.is_some();
                way.matched |= matched;
            }
        }
        if let Some(copy) = copy {
            self.made = number;
            work.copies.push(copy);
        }
    }

    /// Matches at the row at hand, the oldest first; each drops before the next is looked at.
    fn tell_all(&mut self, mut done: Vec<Attempt>, work: &mut Work<'_>) {
        done.sort_by(Attempt::age);
        if work.machine.holds {
            let row = self.order;
            for mut way in done {
                let last = way.last().filter(|(order, _)| *order != row);
                way.hold(last.map_or(work.at, |(_, at)| at));
                self.attempts.push(way);
            }
            self.release(work);
            return;
        }
        while !done.is_empty() {
            let way = done.remove(0);
            let told = self.finish(&way, work);
            if told {
                let dropped = dropped_by(work.machine.drops, &way);
                done.retain(|other| {
                    let drop = dropped(other);
                    if drop {
                        work.ended(other, AttemptEnd::Skipped);
                    }
                    !drop
                });
            }
        }
    }

    /// Tells matches that waited until no older attempt lives.
    fn release(&mut self, work: &mut Work<'_>) {
        loop {
            self.sort();
            let mut older = None;
            let free = self.attempts.iter().position(|attempt| {
                if attempt.held().is_some() {
                    return older.is_none_or(|older| older == attempt.made);
                }
                older = older.or(Some(attempt.made));
                false
            });
            let Some(index) = free else { return };
            let way = self.attempts.remove(index);
            let at = way.held().unwrap_or(work.at);
            let now = std::mem::replace(&mut work.at, at);
            let told = self.tell(&way, work);
            work.matched |= told && way.last().is_some_and(|(order, _)| order == self.order);
            work.at = now;
        }
    }

    fn births_of_ways(&mut self, work: &mut Work<'_>) {
        let machine = work.machine;
        for (copy, may_take) in self.beginners(work) {
            if self.stopped {
                break;
            }
            if !may_take || work.blocked() {
                self.attempts.push(copy);
                continue;
            }
            let made = copy.made;
            let mut band = self.run(vec![copy], work);
            let fate = band.fate();
            if fate != Fate::Broken {
                self.leave_of(&mut band, fate, work);
                self.begin_band(band, work);
            } else if machine.after_break {
                self.attempts.push(Attempt::new(machine, made, work.at));
            }
        }
        self.wait(work);
        if !work.may_begin() {
            return;
        }
        let attempt = Attempt::new(machine, self.number(), work.at);
        let mut band = self.run(vec![attempt], work);
        match band.fate() {
            Fate::Moved | Fate::Complete => {
                let matched = !band.done.is_empty();
                band.lives.iter_mut().for_each(|way| way.matched = matched);
                self.begin_band(band, work);
            }
            Fate::Waits | Fate::Broken | Fate::Expired => self.made -= 1,
        }
    }

    fn begin_band(&mut self, band: Band, work: &mut Work<'_>) {
        let mut done = Vec::new();
        self.keep(band, &mut done, work);
        self.tell_all(done, work);
    }

    /// No more attempts than the limit, the oldest first; of those that wait at one element the oldest.
    fn tidy_ways(&mut self, work: &mut Work<'_>) {
        self.sort();
        if work.machine.one_waits {
            self.thin(work);
        }
        if self.attempts.len() <= work.limits.attempts.max(1) {
            return;
        }
        let mut numbers: Vec<u64> = self.attempts.iter().map(|attempt| attempt.made).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut count = numbers.len();
        while let Some(first) = self.attempts.first()
            && count > work.limits.attempts.max(1)
        {
            let made = first.made;
            work.ended(first, AttemptEnd::Limit);
            self.attempts.retain(|attempt| attempt.made != made);
            work.scene.dropped();
            count -= 1;
        }
        if work.machine.holds {
            self.release(work);
        }
    }

    /// At each element only the oldest attempt waits.
    fn thin(&mut self, work: &mut Work<'_>) {
        let machine = work.machine;
        let mut waits = BTreeMap::new();
        let mut head = false;
        self.attempts.retain(|attempt| {
            if attempt.held().is_some() {
                return true;
            }
            let stays = match waits.entry(attempt.waits_for(machine)) {
                Entry::Vacant(place) => *place.insert(attempt.made) == attempt.made,
                Entry::Occupied(place) => *place.get() == attempt.made,
            };
            head |= !stays && work.heads(attempt);
            if !stays {
                work.ended(attempt, AttemptEnd::Skipped);
            }
            stays
        });
        if head && !self.stopped && !self.attempts.iter().any(|attempt| work.heads(attempt)) {
            let attempt = Attempt::new(machine, self.number(), work.at);
            self.attempts.push(attempt);
        }
        if machine.holds {
            self.release(work);
        }
    }

    /// Something of one way is due.
    pub(super) fn timer_of_ways(&mut self, index: usize, work: &mut Work<'_>) {
        let machine = work.machine;
        let way = self.attempts.remove(index);
        let made = way.made;
        let last = way.last().map(|(_, at)| at);
        let expires = way.next(machine).1;
        let over = way.is_over(machine, work.at);
        let mut band = pass(way, self.ways_of(made), work);
        if over && band.done.is_empty() {
            self.end_ways(made, &mut band, work);
        }
        if band.done.is_empty() && band.lives.is_empty() {
            if self.ways_of(made) == 0 {
                self.expire(band, work);
            }
        } else {
            let fate = band.fate();
            self.leave_of(&mut band, fate, work);
            self.mark_ways(made, &band, fate);
            let at = match last {
                Some(last) if expires && machine.longest && !machine.ends_in_not => last,
                _ => work.at,
            };
            self.tell_timer(band, at, work);
        }
        self.wait(work);
        if machine.holds {
            self.release(work);
        }
        self.tidy_ways(work);
    }

    /// How many ways of an attempt wait.
    fn ways_of(&self, made: u64) -> usize {
        let own = self.attempts.iter().filter(|other| other.made == made);
        own.filter(|other| other.held().is_none()).count()
    }

    /// The time of an attempt is over: all its ways go that are no match at this moment.
    fn end_ways(&mut self, made: u64, band: &mut Band, work: &Work<'_>) {
        self.attempts.retain(|other| {
            let goes = other.made == made && other.is_over(work.machine, work.at);
            let ends = goes && other.ends_by_time(work.machine);
            if goes && !ends {
                let longer = |gone: &Attempt| other.rows.len() > gone.rows.len();
                if band.gone.as_ref().is_none_or(longer) {
                    band.gone = Some(other.clone());
                }
            }
            !goes || ends
        });
    }

    /// What one way has left or told, none of the others will.
    fn mark_ways(&mut self, made: u64, band: &Band, fate: Fate) {
        let mut all = band.lives.iter().chain(&band.done);
        let left = all.any(|way| way.left);
        let others = self.attempts.iter_mut();
        for other in others.filter(|other| other.made == made) {
            other.left |= left;
            other.matched |= fate == Fate::Complete;
        }
    }

    fn tell_timer(&mut self, mut band: Band, at: i64, work: &mut Work<'_>) {
        self.attempts.append(&mut band.lives);
        let now = std::mem::replace(&mut work.at, at);
        for mut way in band.done {
            if work.machine.holds {
                way.hold(at);
                self.attempts.push(way);
            } else {
                self.tell(&way, work);
            }
        }
        work.at = now;
    }

    /// The last way of an attempt has run out of time.
    fn expire(&mut self, mut band: Band, work: &mut Work<'_>) {
        if band.gone.as_ref().is_some_and(|way| way.matched) {
            return;
        }
        self.leave_of(&mut band, Fate::Expired, work);
        if let Some(way) = &band.gone {
            work.ended(way, AttemptEnd::Expired);
            self.tell_timeout(way, work);
        }
    }
}

/// What is due of one way happens; `others`: ways of its attempt beside it.
fn pass(mut way: Attempt, others: usize, work: &mut Work<'_>) -> Band {
    let machine = work.machine;
    let mut band = Band::default();
    let mut found = Vec::new();
    let (complete, lives) = if machine.all_ways {
        let outcome = way.pass(machine, work.at, &mut found);
        (outcome.complete, outcome.lives)
    } else {
        let fate = way.time(machine, work.at);
        band.moved = fate == Fate::Moved;
        (fate == Fate::Complete, band.moved || fate == Fate::Waits)
    };
    if complete {
        band.done.push(way);
    } else if lives {
        band.lives.push(way);
    } else {
        band.gone = Some(way);
    }
    for way in found {
        band.add(way, others, work);
    }
    band
}
