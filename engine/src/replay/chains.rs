//! Rules that read what other rules say, in a replay: rings are told, and what is said of a line is heard before the next one.

use tidegate_actors::rule::{CHAIN, chain_issue};
use tidegate_proto::Rule;
use tidegate_proto::issue::Issues;
use tidegate_proto::time::Timestamp;

use super::{Replay, ReplayError, Stepped, Told, parcels};

impl Replay {
    /// Notes which rules a rule reads, or says why that cannot be.
    pub(super) fn chain(&mut self, rule: &Rule, issues: &mut Issues) {
        let name = rule.name.as_str();
        let read = |of: &str| self.chains.get(of).cloned().unwrap_or_default();
        if let Some(mut issue) = chain_issue(rule, &read) {
            issue.path = format!("rule {name}: {}", issue.path);
            issues.push(issue);
            return;
        }
        match rule.reads() {
            reads if reads.is_empty() => self.chains.remove(name),
            reads => self.chains.insert(name.to_owned(), reads),
        };
    }

    /// The end for rules that read what others say, those first that stand behind one alone.
    pub(super) fn end_chains(
        &mut self,
        until: Timestamp,
        epochs: &mut Vec<Stepped>,
    ) -> Result<(), ReplayError> {
        let clock = self.clock.unwrap_or(Timestamp::MIN);
        let told = parcels::told(epochs, self.line);
        epochs.extend(self.hear(clock, told)?);
        for depth in 1..=CHAIN {
            let shards = self.shards.iter_mut();
            let ended = shards.map(|shard| Ok((Vec::new(), shard.until_behind(until, depth)?)));
            let ended = ended.collect::<Result<Vec<_>, ReplayError>>()?;
            let told = parcels::told(&ended, self.line);
            epochs.extend(ended);
            epochs.extend(self.hear(clock, told)?);
        }
        Ok(())
    }

    /// What shards tell each other: all at once, but if rules read what others say, line by line, so that what is said of a line comes
    /// before the next one.
    pub(super) fn hear(
        &mut self,
        clock: Timestamp,
        told: Told,
    ) -> Result<Vec<Stepped>, ReplayError> {
        let mut epochs = Vec::new();
        let rounds = if self.chains.is_empty() {
            vec![told]
        } else {
            parcels::by_line(told)
        };
        for mut told in rounds {
            while told.iter().any(|records| !records.is_empty()) {
                let stepped = self.step(clock, told)?;
                told = parcels::told(&stepped, self.line);
                epochs.extend(stepped);
            }
        }
        Ok(epochs)
    }
}
