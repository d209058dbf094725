//! [`StandbyPlan`]: which shards a worker follows, from nothing but what all workers say of themselves.
//!
//! Who takes a shard over decides the group: its cooperative-sticky assignor gives what a worker leaves behind, from the
//! highest number down, to whoever has fewest, equal ones in the order of their names. The same is done here in thought,
//! so the standby of a shard is the worker that will get it. Where the group decides otherwise (two workers gone at once),
//! the takeover is that of a worker that did not follow: slower, never wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::workers::WorkerView;

/// Looks for which a shard that is not wanted any more is followed all the same: workers that went are heard of for a while,
/// and what is let go has to be replayed again.
const PATIENCE: u32 = 15;

/// Worker and what it has.
type Shares<'a> = BTreeMap<&'a str, BTreeSet<u32>>;

/// Remembers what is followed, so that a moment of disorder does not end it.
#[derive(Debug, Default)]
pub struct StandbyPlan {
    /// Shards that are followed, with the looks since each was wanted last.
    following: BTreeMap<u32, u32>,
}

impl StandbyPlan {
    /// What to follow now, with so many standbys for each shard and at most so many shards here.
    pub fn next(
        &mut self,
        own: &str,
        workers: &[WorkerView],
        (standbys, most): (usize, usize),
    ) -> BTreeSet<u32> {
        let shares = shares(workers);
        let owned = shares.get(own).cloned().unwrap_or_default();
        for looks in self.following.values_mut() {
            *looks += 1;
        }
        for shard in wanted(own, &shares, standbys) {
            self.following.insert(shard, 0);
        }
        // Nobody has it: it may be ours in a moment.
        let had: BTreeSet<u32> = shares.values().flatten().copied().collect();
        for (shard, looks) in &mut self.following {
            if !had.contains(shard) {
                *looks = (*looks).min(PATIENCE);
            }
        }
        self.following
            .retain(|shard, looks| *looks <= PATIENCE && !owned.contains(shard));
        let mut by_want: Vec<(u32, u32)> = self
            .following
            .iter()
            .map(|(shard, looks)| (*looks, *shard))
            .collect();
        by_want.sort_unstable();
        by_want.truncate(most);
        let kept: BTreeSet<u32> = by_want.into_iter().map(|(_, shard)| shard).collect();
        self.following.retain(|shard, _| kept.contains(shard));
        kept
    }
}

/// Who has what; of two that claim a shard the newer takeover counts.
fn shares(workers: &[WorkerView]) -> Shares<'_> {
    let mut owners: BTreeMap<u32, (i64, &str)> = BTreeMap::new();
    for worker in workers {
        for shard in &worker.shards {
            let claim = (shard.generation, worker.name.as_str());
            let known = owners.entry(shard.shard).or_insert(claim);
            *known = (*known).max(claim);
        }
    }
    let mut shares: Shares<'_> = workers
        .iter()
        .map(|worker| (worker.name.as_str(), BTreeSet::new()))
        .collect();
    for (shard, (_, owner)) in owners {
        shares.entry(owner).or_default().insert(shard);
    }
    shares
}

/// The shards that `own` stands by for.
fn wanted(own: &str, shares: &Shares<'_>, standbys: usize) -> BTreeSet<u32> {
    let mut wanted = BTreeSet::new();
    let mut thought: BTreeMap<BTreeSet<&str>, BTreeMap<u32, &str>> = BTreeMap::new();
    for (owner, shards) in shares {
        for shard in shards {
            let mut gone = BTreeSet::from([*owner]);
            for _ in 0..standbys {
                let given = thought
                    .entry(gone.clone())
                    .or_insert_with(|| given(shares, &gone));
                let Some(next) = given.get(shard).copied() else {
                    break;
                };
                if next == own {
                    wanted.insert(*shard);
                }
                gone.insert(next);
            }
        }
    }
    wanted
}

/// Whom the group would give what these workers have.
fn given<'a>(shares: &Shares<'a>, gone: &BTreeSet<&str>) -> BTreeMap<u32, &'a str> {
    let left = shares.iter().filter(|(name, _)| !gone.contains(*name));
    let mut loads: BTreeSet<(usize, &str)> =
        left.map(|(name, shards)| (shards.len(), *name)).collect();
    let free = shares.iter().filter(|(name, _)| gone.contains(*name));
    let free: BTreeSet<u32> = free.flat_map(|(_, shards)| shards).copied().collect();
    let mut given = BTreeMap::new();
    for shard in free.into_iter().rev() {
        let Some((load, name)) = loads.pop_first() else {
            break;
        };
        given.insert(shard, name);
        loads.insert((load + 1, name));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::WorkerShard;

    fn worker(name: &str, shards: &[u32]) -> WorkerView {
        let shard = |shard: &u32| WorkerShard {
            shard: *shard,
            ..WorkerShard::default()
        };
        WorkerView {
            name: name.into(),
            shards: shards.iter().map(shard).collect(),
            ..WorkerView::default()
        }
    }

    fn once(own: &str, workers: &[WorkerView], standbys: usize) -> Vec<u32> {
        let followed = StandbyPlan::default().next(own, workers, (standbys, 100));
        followed.into_iter().collect()
    }

    #[test]
    fn who_will_get_a_shard_follows_it() {
        let workers = [worker("a", &[0, 1]), worker("b", &[2]), worker("c", &[3])];
        // 1 goes to the first of the two that have fewest, then 0 to the other; 2 and 3 to whoever is left with one.
        assert!(once("a", &workers, 1).is_empty());
        assert_eq!(once("b", &workers, 1), [1, 3]);
        assert_eq!(once("c", &workers, 1), [0, 2]);
        // With two standbys everybody else follows everything.
        assert_eq!(once("a", &workers, 2), [2, 3]);
        assert_eq!(once("b", &workers, 2), [0, 1, 3]);
        assert_eq!(once("c", &workers, 2), [0, 1, 2]);
        assert_eq!(once("b", &workers, 16), [0, 1, 3]);
        assert!(
            once("a", &[worker("a", &[0, 1])], 1).is_empty(),
            "nobody is left"
        );
    }

    #[test]
    fn every_shard_has_its_standby_and_no_worker_more_than_its_part() {
        let names: Vec<String> = (0..7).map(|number| format!("w{number}")).collect();
        let shards =
            |number: u32| -> Vec<u32> { (0..64).filter(|shard| shard % 7 == number).collect() };
        let workers: Vec<WorkerView> = (0_u32..)
            .zip(&names)
            .map(|(number, name)| worker(name, &shards(number)))
            .collect();
        let mut followers = BTreeMap::new();
        for (number, name) in (0_u32..).zip(&names) {
            let followed = once(name, &workers, 1);
            assert!(followed.iter().all(|shard| shard % 7 != number));
            assert!(followed.len() <= 16, "{name} follows {followed:?}");
            for shard in followed {
                *followers.entry(shard).or_insert(0) += 1;
            }
        }
        assert_eq!(followers.len(), 64);
        assert!(followers.values().all(|count| *count == 1));
    }

    #[test]
    fn disorder_does_not_end_what_is_followed_and_the_bound_holds() {
        let whole = [worker("a", &[0, 1]), worker("b", &[2, 3])];
        let mut plan = StandbyPlan::default();
        let settings = (1, 100);
        assert_eq!(plan.next("b", &whole, settings), [0, 1].into());
        // The owner is gone and nobody has them yet.
        let alone = [worker("b", &[2, 3])];
        for _ in 0..100 {
            assert_eq!(plan.next("b", &alone, settings), [0, 1].into());
        }
        // Ours now: nothing to follow.
        let ours = [worker("b", &[0, 1, 2, 3])];
        assert!(plan.next("b", &ours, settings).is_empty());
        // Somebody else's, and another one stands by: it is let go after a while.
        assert_eq!(plan.next("b", &whole, settings), [0, 1].into());
        let three = [worker("0", &[]), worker("a", &[0, 1]), worker("b", &[2, 3])];
        for look in 0..PATIENCE {
            assert_eq!(plan.next("b", &three, settings), [0, 1].into(), "{look}");
        }
        assert!(plan.next("b", &three, settings).is_empty());
        assert_eq!(plan.next("b", &whole, (1, 1)), [0].into());
    }
}
