//! [`Least`]: the time of a task with many members: the least of their watermarks, without those too far behind.
//!
//! A member's watermark is `max(mark, clock + lead)`: `mark` as its last row left it, `lead` = latest − arrival − idle. So
//! silent members move alike with the clock, and two sorted sets answer without looking at each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_proto::TaskClock;

use crate::watermark::{NEVER, cell};

/// One member's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Watermark as the last row left it, [`NEVER`] before any.
    pub(crate) mark: i64,
    /// Added to the clock: the watermark by silence.
    pub(crate) lead: i64,
}

impl Member {
    /// The watermark at a clock.
    pub(crate) fn at(self, clock: i64) -> i64 {
        if clock == NEVER {
            self.mark
        } else {
            self.mark.max(clock.saturating_add(self.lead))
        }
    }
}

/// Where the time of a task stands, and what holds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) water: i64,
    /// The member that holds it.
    holder: Member,
    /// The longest lead of all members.
    lead: i64,
}

/// Whose time counts, and how far behind a member may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) clock: TaskClock,
    pub(crate) max_skew: i64,
}

impl Standing {
    /// Of few members, each looked at.
    pub(crate) fn of(members: &[Member], clock: i64, reign: Reign) -> Option<Self> {
        let furthest = members.iter().max_by_key(|member| member.at(clock))?;
        let lead = members.iter().map(|member| member.lead).max()?;
        let cut = furthest.at(clock).saturating_sub(reign.max_skew);
        let holder = match reign.clock {
            TaskClock::Least => members
                .iter()
                .filter(|member| member.at(clock) >= cut)
                .min_by_key(|member| member.at(clock))?,
            TaskClock::Newest => furthest,
            TaskClock::Own => members.first()?,
        };
        Some(Self {
            water: holder.at(clock),
            holder: *holder,
            lead,
        })
    }

    /// A clock before which silence alone cannot bring the task to `deadline`.
    pub(crate) fn due(&self, deadline: i64, reign: Reign) -> i64 {
        let by = |lead: i64| deadline.saturating_sub(lead);
        match reign.clock {
            TaskClock::Own => by(self.holder.lead),
            TaskClock::Newest => by(self.lead),
            TaskClock::Least => {
                let left_out = self
                    .water
                    .saturating_add(reign.max_skew)
                    .saturating_add(1)
                    .saturating_sub(self.lead);
                by(self.holder.lead).min(left_out)
            }
        }
    }
}

/// The members of a task over everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Least {
    members: Vec<Option<Member>>,
    /// Those that their last row keeps, by mark.
    rows: BTreeSet<(i64, u32)>,
    /// Those that silence has carried further, by lead.
    silent: BTreeSet<(i64, u32)>,
    /// Of `rows`: the clock at which silence takes over.
    turns: BTreeSet<(i64, u32)>,
    /// All, by lead.
    leads: BTreeSet<(i64, u32)>,
}

fn turn(member: Member) -> i64 {
    member.mark.saturating_sub(member.lead)
}

impl Least {
    /// Whether a resource is a member.
    pub(crate) fn has(&self, resource: u32) -> bool {
        matches!(self.members.get(resource as usize), Some(Some(_)))
    }

    /// A member's time.
    pub(crate) fn get(&self, resource: u32) -> Option<Member> {
        self.members.get(resource as usize).copied().flatten()
    }

    /// A member's time changes, or it becomes one.
    pub(crate) fn set(&mut self, resource: u32, member: Member, clock: i64) {
        self.remove(resource);
        *cell(&mut self.members, resource, None) = Some(member);
        self.leads.insert((member.lead, resource));
        if clock != NEVER && clock > turn(member) {
            self.silent.insert((member.lead, resource));
        } else {
            self.rows.insert((member.mark, resource));
            self.turns.insert((turn(member), resource));
        }
    }

    /// A member is none any more.
    pub(crate) fn remove(&mut self, resource: u32) {
        let known = self.members.get_mut(resource as usize);
        let Some(member) = known.and_then(Option::take) else {
            return;
        };
        self.leads.remove(&(member.lead, resource));
        self.silent.remove(&(member.lead, resource));
        self.rows.remove(&(member.mark, resource));
        self.turns.remove(&(turn(member), resource));
    }

    fn take_turns(&mut self, clock: i64) {
        if clock == NEVER {
            return;
        }
        while let Some((due, resource)) = self.turns.first().copied() {
            if due >= clock {
                break;
            }
            self.turns.pop_first();
            if let Some(Some(member)) = self.members.get(resource as usize) {
                self.rows.remove(&(member.mark, resource));
                self.silent.insert((member.lead, resource));
            }
        }
    }

    fn member(&self, entry: Option<&(i64, u32)>) -> Option<Member> {
        entry.and_then(|(_, resource)| self.members.get(*resource as usize).copied().flatten())
    }

    /// Where the task's time stands; `None` without members.
    pub(crate) fn standing(&mut self, clock: i64, reign: Reign) -> Option<Standing> {
        self.take_turns(clock);
        let lead = self.leads.last()?.0;
        let ends = [self.rows.last(), self.silent.last()];
        let ends = ends.into_iter().filter_map(|entry| self.member(entry));
        let furthest = ends.max_by_key(|member| member.at(clock))?;
        if reign.clock != TaskClock::Least {
            return Some(Standing {
                water: furthest.at(clock),
                holder: furthest,
                lead,
            });
        }
        let cut = furthest.at(clock).saturating_sub(reign.max_skew);
        let of_lead = if clock == NEVER {
            i64::MIN
        } else {
            cut.saturating_sub(clock)
        };
        let first = [
            self.rows.range((cut, 0)..).next(),
            self.silent.range((of_lead, 0)..).next(),
        ];
        let first = first.into_iter().filter_map(|entry| self.member(entry));
        let holder = first.min_by_key(|member| member.at(clock))?;
        Some(Standing {
            water: holder.at(clock),
            holder,
            lead,
        })
    }

    /// All members, by number.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, Member)> + use<'_> {
        let members = (0..).zip(&self.members);
        members.filter_map(|(resource, member)| Some((resource, (*member)?)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.members.capacity() * size_of::<Option<Member>>() + self.leads.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sets_say_what_looking_at_each_member_says(
            acts in proptest::collection::vec((0..6_u32, 0..200_i64, -60..0_i64, 0..3_i64), 1..60),
            max_skew in 1..120_i64, newest in any::<bool>()
        ) {
            let clock_of = if newest { TaskClock::Newest } else { TaskClock::Least };
            let reign = Reign { clock: clock_of, max_skew };
            let mut least = Least::default();
            let mut plain = std::collections::BTreeMap::new();
            let mut clock = NEVER;
            for (resource, mark, lead, step) in acts {
                let member = Member { mark, lead };
                least.set(resource, member, clock);
                plain.insert(resource, member);
                if step > 0 {
                    clock = clock.max(0) + step * 17;
                }
                let members: Vec<Member> = plain.values().copied().collect();
                let wanted = Standing::of(&members, clock, reign).unwrap();
                let got = least.standing(clock, reign).unwrap();
                prop_assert_eq!((got.water, got.lead), (wanted.water, wanted.lead));
                // Not before the clock that is told as due.
                let due = got.due(got.water + 30, reign);
                let before = Standing::of(&members, due.saturating_sub(1).max(clock), reign).unwrap();
                if due > clock && clock != NEVER {
                    prop_assert!(before.water < got.water + 30);
                }
            }
        }
    }
}
