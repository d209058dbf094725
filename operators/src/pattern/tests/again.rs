//! A model of how a key begins again (sections 1.5 and 1.6 of the specification): attempts are played to their end one by
//! one by [`Model`]; here is only what they do to each other, event by event.

use super::model::{Course, End, Model, Point, Stand, Track};

/// Which attempts are left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Every {
    Row,
    Span(usize, usize),
    /// From the first element to the match.
    All,
    Never,
}

/// How a key begins again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) every: Every,
    /// `after_match: none`, otherwise `past_last`.
    pub(super) keeps: bool,
    pub(super) broken: bool,
    pub(super) matched: bool,
    pub(super) after_break: bool,
    pub(super) after_expiry: bool,
}

/// One attempt.
struct Life {
    first: usize,
    made: usize,
    /// It has left its copy.
    left: bool,
    course: Course,
}

/// A match: times of its rows, and its time.
pub(super) type Told = (Vec<i64>, i64);

/// One key.
pub(super) struct Again<'a> {
    model: &'a Model<'a>,
    ways: Ways,
    lives: Vec<Life>,
    made: usize,
    /// An attempt waits for a first row.
    waits: bool,
    /// Attempts made at the row at hand: as they stand, `None` for those that wait for a first row; whether the row may
    /// begin it.
    copies: Vec<(Option<Stand>, bool)>,
    stopped: bool,
    told: Vec<Told>,
}

impl<'a> Again<'a> {
    pub(super) fn matches(model: &'a Model<'a>, ways: Ways) -> Vec<Told> {
        let mut key = Self {
            model,
            ways,
            lives: Vec::new(),
            made: 0,
            waits: ways.every != Every::Row,
            copies: Vec::new(),
            stopped: false,
            told: Vec::new(),
        };
        for row in 0..=model.rows.len() {
            while key.timer(row) {}
            if row < model.rows.len() {
                key.row(row);
            }
        }
        key.told
    }

    fn begin(&mut self, stand: Stand, next: usize) -> usize {
        let end = self.model.items.len();
        let span = match self.ways.every {
            Every::Span(from, to) => Some((from, to)),
            Every::All => Some((0, end)),
            Every::Row | Every::Never => None,
        };
        let track = Track {
            span,
            ..Track::default()
        };
        self.made += 1;
        self.lives.push(Life {
            first: stand.rows[0],
            made: self.made,
            left: false,
            course: self.model.play(stand, next, track),
        });
        self.made
    }

    /// What is due next before a row; `false`: nothing.
    fn timer(&mut self, row: usize) -> bool {
        let due = |point: Point| point.timer.filter(|_| point.row == row);
        let mut found: Option<(i64, u8, usize, usize, usize)> = None;
        for (place, life) in self.lives.iter().enumerate() {
            let ends = due(life.course.at).map(|at| {
                let kind = u8::from(life.course.by_absence());
                (at, kind, life.first, life.made, place)
            });
            let passed = life.course.track.passed.filter(|_| !life.left);
            let passes = passed
                .and_then(due)
                .map(|at| (at, 1, life.first, life.made, place));
            for next in ends.into_iter().chain(passes) {
                found = Some(found.map_or(next, |old| old.min(next)));
            }
        }
        let Some((at, .., place)) = found else {
            return false;
        };
        let life = &self.lives[place];
        let ended = due(life.course.at) == Some(at);
        if !ended {
            self.leave(place, false);
        } else {
            if life.course.end == End::Expired {
                self.replace(place, self.ways.after_expiry, false);
            } else {
                self.leave(place, false);
            }
            let life = self.lives.remove(place);
            if let End::Match(rows, time) = life.course.end {
                self.tell(&rows, time);
            }
        }
        for (stand, _) in std::mem::take(&mut self.copies) {
            if self.stopped {
                continue;
            }
            match stand {
                Some(mut stand) => {
                    stand.wakes(at);
                    self.begin(stand, row);
                }
                None => self.waits = true,
            }
        }
        true
    }

    /// The copy of an attempt that is done with the span.
    fn leave(&mut self, place: usize, may_begin: bool) {
        let life = &mut self.lives[place];
        if std::mem::replace(&mut life.left, true) || life.course.track.span.is_none() {
            return;
        }
        let before = life.course.track.before.clone();
        self.copies.push((before, may_begin));
    }

    /// What takes the place of one that was broken or has expired.
    fn replace(&mut self, place: usize, again: bool, broken: bool) {
        let life = &self.lives[place];
        if !again || life.left || self.ways.every == Every::Row {
            return;
        }
        let before = life.course.track.before.clone().filter(|_| broken);
        // A copy that has rows has begun: it takes only later ones.
        let may_begin = before.is_none() && (!broken || self.ways.broken);
        self.copies.push((before, may_begin));
    }

    fn tell(&mut self, rows: &[usize], time: i64) {
        let times = rows.iter().map(|row| self.model.rows[*row].1);
        self.told.push((times.collect(), time));
        self.stopped |= self.ways.every == Every::Never;
        let last = *rows.last().unwrap();
        if self.ways.keeps {
            return;
        }
        let spans = !matches!(self.ways.every, Every::Row | Every::Never);
        let drops = |life: &Life| life.first <= last;
        if spans && self.lives.iter().any(|life| drops(life) && !life.left) {
            // The attempt that was to go on is dropped: the key begins anew.
            self.copies.push((None, self.ways.matched));
        }
        self.lives.retain(|life| !drops(life));
    }

    fn row(&mut self, row: usize) {
        let now = Point { row, timer: None };
        self.lives.sort_by_key(|life| (life.first, life.made));
        let (mut matched, mut broke) = (false, false);
        let mut complete = Vec::new();
        let mut place = 0;
        while place < self.lives.len() {
            let life = &self.lives[place];
            let ends = life.course.at == now;
            match life.course.end.clone() {
                End::Match(rows, _) if ends => {
                    // One that only closed the repetition completed nothing.
                    let completes = rows.last() == Some(&row);
                    let begun = life.course.track.before.is_some();
                    let may = self.ways.matched && !begun && rows[0] != row;
                    complete.push((life.made, completes));
                    self.leave(place, !completes || may);
                }
                End::Broken if ends => {
                    broke = true;
                    self.replace(place, self.ways.after_break, true);
                    self.lives.remove(place);
                    continue;
                }
                _ if life.course.track.passed == Some(now) => self.leave(place, false),
                _ => {}
            }
            place += 1;
        }
        for (made, completes) in complete {
            matched |= self.complete(made) && completes;
        }
        self.births(row, matched, broke);
    }

    fn complete(&mut self, made: usize) -> bool {
        let Some(place) = self.lives.iter().position(|life| life.made == made) else {
            return false;
        };
        if let End::Match(rows, time) = self.lives.remove(place).course.end {
            self.tell(&rows, time);
        }
        true
    }

    fn births(&mut self, row: usize, matched: bool, broke: bool) {
        let (letter, time) = self.model.rows[row];
        let fits = self.model.items[0].letter == letter;
        let blocked = (matched && !self.ways.matched) || (broke && !self.ways.broken);
        let mut begins = self.waits && !blocked;
        for (stand, may_begin) in std::mem::take(&mut self.copies) {
            match stand {
                Some(stand) if may_begin && !blocked => {
                    // It looks at the row that closed the one before.
                    self.begin(stand, row);
                }
                Some(stand) => {
                    self.begin(stand, row + 1);
                }
                None => {
                    self.waits = true;
                    begins |= may_begin && !blocked;
                }
            }
        }
        begins |= self.ways.every == Every::Row && (!blocked || self.ways.keeps);
        if self.stopped || !begins || !fits {
            return;
        }
        self.waits = false;
        let made = self.begin(Stand::first(row, time), row + 1);
        let place = self.lives.len() - 1;
        let now = Point { row, timer: None };
        let course = &self.lives[place].course;
        let ends = course.at == now && matches!(course.end, End::Match(..));
        if ends || course.track.passed == Some(now) {
            self.leave(place, false);
        }
        if ends {
            self.complete(made);
        }
        for (stand, _) in std::mem::take(&mut self.copies) {
            match stand {
                Some(stand) => {
                    self.begin(stand, row + 1);
                }
                None => self.waits = true,
            }
        }
    }
}
