//! A task goes on under revised rules: each level with the state of the level that it continues, and what was told stays told.

use super::alarm::Alarm;
use super::{Level, Rules, Task, Told};
use crate::timer::IDLE;

/// The level of the last revision that a level goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heir {
    /// Its number there.
    pub(crate) of: usize,
    /// Whether `when` and `dampen` are the same.
    pub(crate) judges: bool,
    /// Whether what ends it is the same.
    pub(crate) ends: bool,
}

impl Task {
    /// The level that was told last, if it is raised for those who listen.
    pub(crate) fn told(&self) -> Option<usize> {
        match &self.alarm {
            Some(alarm) => alarm.told,
            None => self.first.raised().map(|_| 0),
        }
    }

    /// Goes on under revised rules; `heirs` says for each level which one it continues. Durations are counted anew from
    /// the same start.
    pub(crate) fn carry(&mut self, old: &Rules, new: &Rules, heirs: &[Option<Heir>]) {
        let same = |(at, heir): (usize, &Option<Heir>)| {
            heir.is_some_and(|heir| heir.of == at && heir.judges && heir.ends)
        };
        let unchanged = old.levels.len() == heirs.len() && heirs.iter().enumerate().all(same);
        if unchanged && self.alarm.is_some() == new.is_rich() {
            if let Some(alarm) = &mut self.alarm {
                alarm.obey(new);
            }
            return;
        }
        let told = self.told();
        let was: Vec<Level> = self.levels().cloned().collect();
        let begun = was.iter().find_map(Level::raised).unwrap_or_default();
        let carried = heirs.iter().map(|heir| {
            let level = heir.and_then(|heir| Some((was.get(heir.of)?, heir)));
            let level = level.map(|(level, heir)| level.carry(heir.judges, heir.ends));
            level.unwrap_or_default()
        });
        let mut levels: Vec<Level> = carried.collect();
        let worst = |levels: &[Level]| levels.iter().position(|level| level.raised().is_some());
        let hidden = self.alarm.as_ref().is_some_and(|alarm| alarm.is_flapping());
        let hidden = hidden && new.flapping.is_some();
        let mut stands = worst(&levels);
        if let Some(told) = told.filter(|_| stands.is_none() && !hidden) {
            // What was told stays told until the next row: on the level of the same severity, otherwise on the mildest.
            let severity = old.level(told).severity;
            let mut all = new.levels.iter();
            let mildest = new.levels.len().saturating_sub(1);
            let heir = all.position(|level| level.severity == severity);
            let heir = heir.unwrap_or(mildest);
            if let Some(level) = levels.get_mut(heir) {
                *level = Level::raised_at(begun);
            }
            stands = Some(heir);
        }
        let mapped = |told: usize| {
            heirs
                .iter()
                .position(|heir| heir.is_some_and(|h| h.of == told))
        };
        let kept = told.and_then(mapped);
        if new.never_lower {
            stands = match (stands, kept) {
                (Some(now), Some(kept)) => Some(now.min(kept)),
                (now, _) => now,
            };
        }
        // What is hidden is told when it ends; what stands silently without a word before tells at the next judgement.
        let now = match told {
            Some(_) if hidden => kept.or(stands),
            Some(_) => stands,
            None => None,
        };
        self.seat(new, levels, (stands, now));
    }

    /// Goes on with levels, of which one stands and one is told.
    fn seat(
        &mut self,
        new: &Rules,
        levels: Vec<Level>,
        (stands, told): (Option<usize>, Option<usize>),
    ) {
        let alarm = self.alarm.take();
        let fresh = alarm.is_none() && levels.iter().all(|level| *level == Level::default());
        let mut levels = levels.into_iter();
        self.first = levels.next().unwrap_or_default();
        // Without anything to remember it is made at the next judgement.
        if new.is_rich() && !fresh {
            let mut alarm = alarm.unwrap_or_else(|| Box::new(Alarm::of(&self.first, new)));
            alarm.others = levels.collect();
            alarm.stands = stands;
            alarm.told = told;
            alarm.obey(new);
            self.alarm = Some(alarm);
        }
        if self.due(new) == IDLE {
            self.kept = None;
        }
    }

    /// A revision changed the severity of what is told.
    pub(crate) fn change_severity(&mut self, time: i64) {
        if let Some(alarm) = &mut self.alarm {
            alarm.restart(time);
        }
    }

    /// Waits that a revision has made past due end now, at the watermark.
    pub(crate) fn settle(&mut self, rules: &Rules, watermark: i64, told: &mut Vec<Told>) {
        self.end_waits(rules, (watermark, watermark), told);
    }
}
