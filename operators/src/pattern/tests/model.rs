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
pub(super) struct Model<'a> {
    pub(super) items: &'a [Item],
    pub(super) rows: &'a [(char, i64)],
    pub(super) within: i64,
}

/// How an attempt ended.
#[derive(Debug)]
enum End {
    /// Rows by index, time of completion, index of the row at which it is known (rows before it have been seen), and
    /// whether a timer before that row completed it.
    Match(Vec<usize>, i64, usize, bool),
    /// At this row.
    Gone(usize),
}

/// Where an attempt stands.
struct Stand {
    /// The element in hand and how many rows it has.
    at: usize,
    taken: u32,
    /// When the elements behind it came into reach.
    since: i64,
    /// Index of the row before those that may be next.
    last: usize,
    rows: Vec<usize>,
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

    /// Plays one attempt that begins with a row.
    fn play(&self, first: usize) -> End {
        let mut stand = Stand {
            at: 0,
            taken: 1,
            since: self.rows[first].1,
            last: first,
            rows: vec![first],
        };
        let began = self.rows[first].1;
        let ends_in_not = self.items.last().is_some_and(|item| item.what == What::Not);
        let mut index = first + 1;
        loop {
            if self.at_end(&stand) && !ends_in_not {
                let time = self.rows[*stand.rows.last().unwrap()].1;
                let known = stand.last;
                return End::Match(stand.rows, time, known, false);
            }
            // Timers before the next row.
            let next = self.rows.get(index).map_or(i64::MAX, |row| row.1);
            let deadline = if ends_in_not && self.at_end(&stand) {
                began + self.within
            } else {
                began + self.within + 1
            };
            let absence = self
                .reach(&stand)
                .into_iter()
                .find_map(|at| match self.items[at].what {
                    What::Absence(lasts) => Some((stand.since + lasts, at)),
                    _ => None,
                });
            let absent = absence.map_or(i64::MAX, |(due, _)| due);
            if deadline <= absent && deadline <= next {
                return if ends_in_not && self.at_end(&stand) {
                    End::Match(stand.rows, deadline, index, true)
                } else {
                    End::Gone(index)
                };
            }
            if let Some((due, at)) = absence.filter(|(due, _)| *due <= next) {
                stand.at = at;
                stand.taken = 1;
                stand.since = due;
                // "Next" counts from when an element comes into reach.
                stand.last = index - 1;
                if self.at_end(&stand) && !ends_in_not {
                    return End::Match(stand.rows, due, index, true);
                }
                continue;
            }
            if index >= self.rows.len() {
                return End::Gone(index);
            }
            if !self.row(&mut stand, index) {
                return End::Gone(index);
            }
            index += 1;
        }
    }

    /// One row; `false`: broken.
    fn row(&self, stand: &mut Stand, index: usize) -> bool {
        let (letter, time) = self.rows[index];
        let reach = self.reach(stand);
        let forbids =
            |at: &&usize| self.items[**at].what != What::Step && self.items[**at].letter == letter;
        if let Some(at) = reach.iter().find(forbids) {
            // A strict negation would look at the next row only; the model has none.
            let _ = at;
            return false;
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
            return true;
        }
        if open && hand.letter == letter {
            let before = self.satisfied(stand);
            stand.taken += 1;
            stand.last = index;
            stand.rows.push(index);
            if !before {
                stand.since = time;
            }
            return true;
        }
        // Not taken: what asked for the very next row is gone; is anything left?
        let waits = |at: &usize| match self.items[*at].what {
            What::Absence(_) => true,
            What::Not => false,
            What::Step => !self.items[*at].strict,
        };
        let ends_in_not = self.items.last().is_some_and(|item| item.what == What::Not);
        open || reach.iter().any(waits) || (ends_in_not && self.at_end(stand))
    }

    /// All matches in the order in which they are told: rows' times, time of completion.
    pub(super) fn matches(&mut self, keeps: bool) -> Vec<(Vec<i64>, i64)> {
        let mut living: Vec<(usize, End)> = Vec::new();
        let mut told = Vec::new();
        for index in 0..=self.rows.len() {
            // Timers up to this row, by their time, then age.
            loop {
                let due = living
                    .iter()
                    .enumerate()
                    .filter_map(|(place, (_, end))| match end {
                        End::Match(_, time, known, true) if *known == index => Some((*time, place)),
                        _ => None,
                    });
                let Some((_, place)) = due.min() else { break };
                self.tell(place, &mut living, &mut told, keeps);
            }
            if index == self.rows.len() {
                break;
            }
            let mut matched = false;
            while let Some(place) = living.iter().position(
                |(_, end)| matches!(end, End::Match(_, _, known, false) if *known == index),
            ) {
                self.tell(place, &mut living, &mut told, keeps);
                matched = true;
            }
            living.retain(|(_, end)| !matches!(end, End::Gone(at) if *at == index));
            let first = self.items[0];
            if self.rows[index].0 == first.letter && (!matched || keeps) {
                living.push((index, self.play(index)));
                let place = living.len() - 1;
                if matches!(living[place].1, End::Match(_, _, known, false) if known == index) {
                    self.tell(place, &mut living, &mut told, keeps);
                }
            }
        }
        told
    }

    fn tell(
        &self,
        place: usize,
        living: &mut Vec<(usize, End)>,
        told: &mut Vec<(Vec<i64>, i64)>,
        keeps: bool,
    ) {
        let (_, end) = living.remove(place);
        if let End::Match(rows, time, ..) = end {
            let last = *rows.last().unwrap();
            told.push((rows.iter().map(|row| self.rows[*row].1).collect(), time));
            if !keeps {
                living.retain(|(first, _)| *first > last);
            }
        }
    }
}
