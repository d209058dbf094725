//! A model of patterns that plays one attempt at a time to its end, with the whole log in sight: a set of positions in
//! the list of elements, moved on as section 1.3 of the specification says, without any of the machine's structures.

/// What an element asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Step,
    Not,
    Absence(i64),
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) letter: char,
    pub(super) what: What,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) strict: bool,
}

impl Item {
    pub(super) fn step(letter: char) -> Self {
        Self::other(letter, What::Step)
    }

    pub(super) fn other(letter: char, what: What) -> Self {
        Self {
            letter,
            what,
            min: 1,
            max: 1,
            strict: false,
        }
    }
}

/// A pattern and the rows of one key.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) items: &'a [Item],
    pub(super) rows: &'a [(char, i64)],
    pub(super) within: i64,
    /// `report: longest`.
    pub(super) longest: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Rows by index, and the time that is told.
    Match(Vec<usize>, i64),
    Broken,
    Expired,
    /// The log ended first.
    Open,
}

/// When something is known: before a row, by a timer at a time, or by the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) row: usize,
    pub(super) timer: Option<i64>,
}

/// All that becomes of an attempt by itself.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) end: End,
    pub(super) at: Point,
    pub(super) track: Track,
    absence: bool,
}

impl Course {
    const fn new(end: End, at: Point, track: Track) -> Self {
        Self {
            end,
            at,
            track,
            absence: false,
        }
    }

    /// Its last event is the end of an absence, not a deadline.
    pub(super) const fn by_absence(&self) -> bool {
        self.absence
    }
}

/// What a span of `every`, elements `from` to `to`, asks of an attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) span: Option<(usize, usize)>,
    /// How it stood before element `from`.
    pub(super) before: Option<Stand>,
    /// When it was done with element `to`.
    pub(super) passed: Option<Point>,
}

/// What a row does to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Lives,
    Forbidden,
    NothingLeft,
}

/// Where an attempt stands.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// The element in hand and how many rows it has.
    at: usize,
    taken: u32,
    /// When the elements behind it came into reach.
    since: i64,
    /// Index of the row before those that may be next.
    last: usize,
    pub(super) rows: Vec<usize>,
}

impl Stand {
    /// The first element has taken a row.
    pub(super) fn first(row: usize, time: i64) -> Self {
        Self {
            at: 0,
            taken: 1,
            since: time,
            last: row,
            rows: vec![row],
        }
    }

    /// An absence next in line waits from a time.
    pub(super) fn wakes(&mut self, time: i64) {
        self.since = time;
    }
}

impl Model<'_> {
    fn satisfied(&self, stand: &Stand) -> bool {
        stand.taken >= self.items[stand.at].min.max(1)
    }

    /// Elements in reach behind the one in hand.
    fn reach(&self, stand: &Stand) -> Vec<usize> {
        let mut reach = Vec::new();
        if !self.satisfied(stand) {
            return reach;
        }
        for (index, item) in self.items.iter().enumerate().skip(stand.at + 1) {
            reach.push(index);
            let may_be_left_out =
                item.what == What::Not || (item.what == What::Step && item.min == 0);
            if !may_be_left_out {
                break;
            }
        }
        reach
    }

    /// Whether all behind the element in hand may be left out.
    fn at_end(&self, stand: &Stand) -> bool {
        let left_out = |item: &Item| match item.what {
            What::Step => item.min == 0,
            What::Not => true,
            What::Absence(_) => false,
        };
        self.satisfied(stand) && self.items[stand.at + 1..].iter().all(left_out)
    }

    fn ends_in_not(&self) -> bool {
        self.items.last().is_some_and(|item| item.what == What::Not)
    }

    /// Whether it could still take a row, or an absence end.
    fn open(&self, stand: &Stand) -> bool {
        let hand = self.items[stand.at];
        let more = hand.what == What::Step && stand.taken < hand.max;
        more || (self.reach(stand).iter()).any(|at| self.items[*at].what != What::Not)
    }

    fn complete(&self, stand: &Stand) -> bool {
        self.at_end(stand) && !self.ends_in_not() && !(self.longest && self.open(stand))
    }

    fn time(&self, stand: &Stand) -> i64 {
        self.rows[*stand.rows.last().unwrap()].1
    }

    /// The absence in reach and when it ends.
    fn absence(&self, stand: &Stand) -> Option<(i64, usize)> {
        let mut reach = self.reach(stand).into_iter();
        reach.find_map(|at| match self.items[at].what {
            What::Absence(lasts) => Some((stand.since + lasts, at)),
            _ => None,
        })
    }

    /// Plays an attempt from where it stands; the row at `index` is the first that it looks at.
    pub(super) fn play(&self, mut stand: Stand, mut index: usize, mut track: Track) -> Course {
        let began = self.rows[stand.rows[0]].1;
        let mut now = Point {
            row: stand.last,
            timer: None,
        };
        let mut before = None;
        loop {
            self.note(&stand, now, before.as_ref(), &mut track);
            if self.complete(&stand) {
                let time = now.timer.unwrap_or_else(|| self.time(&stand));
                return Course {
                    absence: now.timer.is_some(),
                    ..Course::new(End::Match(stand.rows, time), now, track)
                };
            }
            before = Some(stand.clone());
            let next = self.rows.get(index).map_or(i64::MAX, |row| row.1);
            let by_time = self.ends_in_not() && self.at_end(&stand);
            let deadline = began + self.within + i64::from(!by_time);
            let absence = self.absence(&stand);
            if deadline <= absence.map_or(i64::MAX, |(due, _)| due) && deadline <= next {
                let end = match (by_time, self.longest && self.at_end(&stand)) {
                    (true, _) => End::Match(stand.rows, deadline),
                    (_, true) => End::Match(stand.rows.clone(), self.time(&stand)),
                    _ => End::Expired,
                };
                let timer = Some(deadline);
                return Course::new(end, Point { row: index, timer }, track);
            }
            let timer = absence.filter(|(due, _)| *due <= next);
            now = Point {
                row: index,
                timer: timer.map(|(due, _)| due),
            };
            if let Some((due, at)) = timer {
                // "Next" counts from when an element comes into reach.
                stand.at = at;
                stand.taken = 1;
                stand.since = due;
                stand.last = index - 1;
                continue;
            }
            if index >= self.rows.len() {
                return Course::new(End::Open, now, track);
            }
            let end = match self.row(&mut stand, index) {
                Effect::NothingLeft if self.longest && self.at_end(&stand) => {
                    End::Match(stand.rows.clone(), self.time(&stand))
                }
                Effect::Lives => {
                    index += 1;
                    continue;
                }
                _ => End::Broken,
            };
            return Course::new(end, now, track);
        }
    }

    fn row(&self, stand: &mut Stand, index: usize) -> Effect {
        let (letter, time) = self.rows[index];
        let reach = self.reach(stand);
        let forbids =
            |at: &&usize| self.items[**at].what != What::Step && self.items[**at].letter == letter;
        if let Some(at) = reach.iter().find(forbids) {
            // A strict negation would look at the next row only; the model has none.
            let _ = at;
            return Effect::Forbidden;
        }
        let hand = self.items[stand.at];
        let open = hand.what == What::Step && stand.taken < hand.max;
        let next_to_last = index == stand.last + 1;
        let alive = |at: &usize| {
            let item = self.items[*at];
            item.what == What::Step && (!item.strict || next_to_last)
        };
        let mut fitting = reach
            .iter()
            .copied()
            .filter(|at| alive(at) && self.items[*at].letter == letter);
        if let Some(at) = fitting.next_back() {
            *stand = Stand {
                at,
                taken: 1,
                since: time,
                last: index,
                rows: std::mem::take(&mut stand.rows),
            };
            stand.rows.push(index);
            return Effect::Lives;
        }
        if open && hand.letter == letter {
            let before = self.satisfied(stand);
            stand.taken += 1;
            stand.last = index;
            stand.rows.push(index);
            if !before {
                stand.since = time;
            }
            return Effect::Lives;
        }
        // Not taken: what asked for the very next row is gone; is anything left?
        let waits = |at: &usize| match self.items[*at].what {
            What::Absence(_) => true,
            What::Not => false,
            What::Step => !self.items[*at].strict,
        };
        let ends_in_not = self.ends_in_not() && self.at_end(stand);
        if open || reach.iter().any(waits) || ends_in_not {
            Effect::Lives
        } else {
            Effect::NothingLeft
        }
    }

    /// Notes how it stood before the first element of a span, and when it was done with the last.
    fn note(&self, stand: &Stand, now: Point, before: Option<&Stand>, track: &mut Track) {
        let Some((from, to)) = track.span else { return };
        if let Some(before) = before.filter(|before| before.at < from && stand.at >= from) {
            track.before = Some(before.clone());
        }
        let done = stand.at > to || (stand.at == to && self.satisfied(stand));
        if done && track.passed.is_none() {
            track.passed = Some(now);
        }
    }
}
