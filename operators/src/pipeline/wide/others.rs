//! [`Others`]: how far rules have come whose lines a join has, as those say who run them. The time of the join is the least of theirs
//! and of its own members: none of them is left out because another is further, since what it says comes later by itself.

use serde::{Deserialize, Serialize};
use tidegate_proto::{Outcome, OutcomeKind, TaskClock};

use super::least::{Least, Member, Reign, Standing};
use super::{Engine, Now, ONE, WideScratch, WideUnit};
use crate::pipeline::View;
use crate::plan::wide::WideEngine;
use crate::watermark::NEVER;

/// Time of the tasks of each rule that a join reads, in the order of their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Others {
    rules: Vec<Least>,
}

/// Place of a task among those of its rule; the rule as a whole comes first.
const fn place(resource: Option<u32>) -> u32 {
    match resource {
        Some(resource) => resource.saturating_add(1),
        None => 0,
    }
}

impl Others {
    /// Of which nobody has said how far it is.
    pub(super) fn of(engine: &WideEngine) -> Self {
        let rules = match engine {
            WideEngine::Join(join) => join.rules.len(),
            WideEngine::Inner(_) => 0,
        };
        Self {
            rules: vec![Least::default(); rules],
        }
    }

    /// Where time stands, if that of the own members stands at `own`. Who has said nothing of itself yet is not waited for.
    pub(super) fn standing(
        &mut self,
        own: Option<Standing>,
        clock: i64,
        reign: Reign,
    ) -> Option<Standing> {
        let rules = self.rules.iter_mut();
        let rules = rules.filter_map(|least| least.standing(clock, reign));
        let all = own.into_iter().chain(rules);
        match reign.clock {
            TaskClock::Newest => all.max_by_key(|standing| standing.water),
            TaskClock::Least | TaskClock::Own => all.min_by_key(|standing| standing.water),
        }
    }

    /// A resource is no more.
    pub(super) fn remove(&mut self, resource: u32) {
        for least in &mut self.rules {
            least.remove(place(Some(resource)));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.rules.iter().map(Least::bytes).sum()
    }
}

impl WideUnit {
    /// The streams of the join that have a line of a rule, as bits: left, right.
    pub(super) fn sides_of(&self, said: Option<(&str, OutcomeKind)>) -> u8 {
        let (Some((rule, kind)), Engine::Join(join)) = (said, &self.engine) else {
            return 0;
        };
        let join = &join.plan.join;
        let has = |of: &Option<tidegate_proto::StreamOf>| {
            of.as_ref().is_some_and(|of| of.has(rule, kind))
        };
        u8::from(has(&join.left.of)) | u8::from(has(&join.right.of)) << 1
    }

    /// Where a rule stands among those that the join reads.
    fn other(&self, rule: &str) -> Option<usize> {
        let Engine::Join(join) = &self.engine else {
            return None;
        };
        let mut rules = join.plan.rules.iter();
        rules.position(|name| name.as_ref() == rule)
    }

    /// A rule whose lines it has, or a task of it, has come so far; `None`: it does not run any more.
    pub(crate) fn reach(
        &mut self,
        (rule, resource): (&str, Option<u32>),
        reached: Option<Member>,
        (record, now): (u32, Now<'_>),
        view: &dyn View,
        (scratch, out): (&mut WideScratch, &mut Vec<Outcome>),
    ) {
        let Some(least) = self
            .other(rule)
            .and_then(|at| self.state.others.rules.get_mut(at))
        else {
            return;
        };
        match reached {
            Some(member) => least.set(place(resource), member, now.clock),
            None => *least = Least::default(),
        }
        self.open(scratch);
        let water = self.move_on(ONE, now);
        self.pass((ONE, water), record, view, scratch);
        self.flush(view, scratch, out);
        self.rearm(&[ONE], now);
    }

    /// How far all its tasks have come: the least of them, without those too far behind the furthest.
    pub(crate) fn reached(&mut self, now: Now<'_>) -> Option<i64> {
        let tasks: Vec<u32> = self.state.tasks.keys().copied().collect();
        let waters = tasks.into_iter().map(|task| {
            let water = self.standing(task, now).map_or(NEVER, |s| s.water);
            let known = self.state.tasks.get(&task).map_or(NEVER, |time| time.water);
            water.max(known)
        });
        let waters: Vec<i64> = waters.collect();
        let furthest = waters.iter().max()?;
        let cut = furthest.saturating_sub(self.wide.max_skew);
        waters.iter().copied().filter(|water| *water >= cut).min()
    }
}
