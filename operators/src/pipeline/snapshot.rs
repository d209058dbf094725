//! Snapshots: the state of a pipeline as bytes. Plans are not in it; they are compiled again and joined by rule name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::Selector;

use super::graphs::{GraphState, GraphUnit};
use super::group::{Begun, Group, GroupState, identity};
use super::patterns::{PatternState, PatternUnit};
use super::unit::{Unit, UnitState};
use super::wide::{WideSaved, WideUnit};
use super::windows::{WindowState, WindowUnit};
use super::{Pipeline, PipelineSettings, RestoreError, Seat};
use crate::condition::Borders;
use crate::plan::{Plan, PlanBody};
use crate::watermark::{Clocks, Line};

/// First byte of a snapshot; another one is another version.
const VERSION: u8 = 6;

/// Name and state of a rule in its group; `None` for a free place.
type Seated<T> = Option<(Arc<str>, T)>;

/// A group and its rules; `None` for a free place.
type Grouped<S, U> = Option<(S, Vec<Seated<U>>)>;

#[derive(Serialize)]
struct Saved<'a> {
    clock: i64,
    sequence: u64,
    clocks: &'a Clocks,
    lines: &'a [(Line, Begun)],
    groups: Vec<Grouped<&'a GroupState, &'a UnitState>>,
    windows: Vec<Seated<&'a WindowState>>,
    patterns: Vec<Seated<&'a PatternState>>,
    graphs: Vec<Seated<&'a GraphState>>,
    wides: Vec<Seated<WideSaved>>,
}

#[derive(Deserialize)]
struct Loaded {
    clock: i64,
    sequence: u64,
    clocks: Clocks,
    lines: Vec<(Line, Begun)>,
    groups: Vec<Grouped<GroupState, UnitState>>,
    windows: Vec<Seated<WindowState>>,
    patterns: Vec<Seated<PatternState>>,
    graphs: Vec<Seated<GraphState>>,
    wides: Vec<Seated<WideSaved>>,
}

/// The state of a pipeline as bytes.
pub(crate) fn write(pipeline: &Pipeline) -> Vec<u8> {
    let groups = pipeline.groups.iter().map(|group| {
        let group = group.as_ref()?;
        let units = group.units.iter().map(|unit| {
            let unit = unit.as_ref()?;
            Some((Arc::clone(&unit.plan.name), &unit.state))
        });
        Some((&group.state, units.collect()))
    });
    let windows = pipeline.windows.iter().map(|window| {
        let window = window.as_ref()?;
        Some((Arc::clone(&window.plan.name), &window.state))
    });
    let patterns = pipeline.patterns.iter().map(|unit| {
        let unit = unit.as_ref()?;
        Some((Arc::clone(&unit.plan.name), &unit.state))
    });
    let graphs = pipeline.graphs.iter().map(|unit| {
        let unit = unit.as_ref()?;
        Some((Arc::clone(&unit.plan.name), &unit.state))
    });
    let wides = pipeline.wides.iter().map(|unit| {
        let unit = unit.as_ref()?;
        Some((Arc::clone(&unit.plan.name), unit.save()))
    });
    let saved = Saved {
        clock: pipeline.clock,
        sequence: pipeline.sequence,
        clocks: &pipeline.clocks,
        lines: &pipeline.lines,
        groups: groups.collect(),
        windows: windows.collect(),
        patterns: patterns.collect(),
        graphs: graphs.collect(),
        wides: wides.collect(),
    };
    // Writing to memory fails only for a sequence of unknown length, and there is none.
    postcard::to_extend(&saved, vec![VERSION]).unwrap_or_default()
}

/// Plans by rule name.
struct Plans(BTreeMap<Arc<str>, Arc<Plan>>);

impl Plans {
    fn take(&self, name: &str) -> Result<&Arc<Plan>, RestoreError> {
        let plan = self.0.get(name);
        plan.ok_or_else(|| RestoreError::Plan(name.to_owned()))
    }

    fn group(
        &self,
        (state, seated): (GroupState, Vec<Seated<UnitState>>),
    ) -> Result<Group, RestoreError> {
        let mut units = Vec::with_capacity(seated.len());
        let mut first = None;
        for place in seated {
            let Some((name, unit_state)) = place else {
                units.push(None);
                continue;
            };
            let plan = self.take(&name)?;
            let PlanBody::Condition(condition) = &plan.body else {
                return Err(RestoreError::Plan(name.to_string()));
            };
            if identity(plan, condition) != state.identity {
                return Err(RestoreError::Plan(name.to_string()));
            }
            first.get_or_insert_with(|| (Arc::clone(plan), Arc::clone(condition)));
            let mut unit = Unit::new(plan, condition);
            unit.state = unit_state;
            units.push(Some(unit));
        }
        let Some((plan, condition)) = first else {
            return Err(RestoreError::Bytes("a group without rules".to_owned()));
        };
        let mut group = Group {
            filter: plan.filter.clone(),
            order: plan.order(),
            borders: condition.schedule.clone().map(Borders::new),
            condition,
            state,
            units,
            waits: false,
            singles: Vec::new(),
            at_work: None,
        };
        group.count_units();
        Ok(group)
    }

    fn window(&self, name: &str, state: WindowState) -> Result<WindowUnit, RestoreError> {
        let plan = self.take(name)?;
        let PlanBody::Window(window) = &plan.body else {
            return Err(RestoreError::Plan(name.to_owned()));
        };
        Ok(WindowUnit {
            seen: None,
            first: 0,
            plan: Arc::clone(plan),
            window: Arc::clone(window),
            everything: plan.rule().selector == Selector::Everything,
            state,
        })
    }
}

impl Plans {
    fn pattern(&self, name: &str, state: PatternState) -> Result<PatternUnit, RestoreError> {
        let plan = self.take(name)?;
        let PlanBody::Pattern(pattern) = &plan.body else {
            return Err(RestoreError::Plan(name.to_owned()));
        };
        Ok(PatternUnit {
            plan: Arc::clone(plan),
            pattern: Arc::clone(pattern),
            state,
            seen: None,
        })
    }
}

impl Plans {
    fn graph(&self, name: &str, state: GraphState) -> Result<GraphUnit, RestoreError> {
        let plan = self.take(name)?;
        let PlanBody::Graph(graph) = &plan.body else {
            return Err(RestoreError::Plan(name.to_owned()));
        };
        Ok(GraphUnit {
            plan: Arc::clone(plan),
            graph: Arc::clone(graph),
            state,
            seen: None,
        })
    }

    fn wide(
        &self,
        name: &str,
        saved: WideSaved,
        settings: PipelineSettings,
    ) -> Result<WideUnit, RestoreError> {
        let plan = self.take(name)?;
        let PlanBody::Wide(wide) = &plan.body else {
            return Err(RestoreError::Plan(name.to_owned()));
        };
        WideUnit::restore(plan, wide, saved, settings)
    }
}

/// A pipeline as it was.
pub(crate) fn read(
    bytes: &[u8],
    plans: Vec<Arc<Plan>>,
    settings: PipelineSettings,
) -> Result<Pipeline, RestoreError> {
    let unreadable = |why: &str| RestoreError::Bytes(why.to_owned());
    let Some((version, body)) = bytes.split_first() else {
        return Err(unreadable("it is empty"));
    };
    if *version != VERSION {
        return Err(unreadable("it is of another version"));
    }
    let loaded: Loaded =
        postcard::from_bytes(body).map_err(|error| unreadable(&error.to_string()))?;
    let named = plans.into_iter().map(|plan| (Arc::clone(&plan.name), plan));
    let plans = Plans(named.collect());
    let mut pipeline = Pipeline::new(settings);
    pipeline.clock = loaded.clock;
    pipeline.sequence = loaded.sequence;
    pipeline.clocks = loaded.clocks;
    pipeline.lines = loaded.lines;
    for (line, _) in &mut pipeline.lines {
        line.set_engine((settings.disorder, settings.idle));
    }
    for group in loaded.groups {
        let group = group.map(|group| plans.group(group)).transpose()?;
        pipeline.groups.push(group);
    }
    for window in loaded.windows {
        let window = window
            .map(|(name, state)| plans.window(&name, state))
            .transpose()?;
        pipeline.windows.push(window);
    }
    for unit in loaded.patterns {
        let unit = unit
            .map(|(name, state)| plans.pattern(&name, state))
            .transpose()?;
        pipeline.patterns.push(unit);
    }
    for unit in loaded.graphs {
        let unit = unit
            .map(|(name, state)| plans.graph(&name, state))
            .transpose()?;
        pipeline.graphs.push(unit);
    }
    for unit in loaded.wides {
        let unit = unit
            .map(|(name, saved)| plans.wide(&name, saved, settings))
            .transpose()?;
        pipeline.wides.push(unit);
    }
    pipeline.count_seats();
    pipeline.count_members();
    Ok(pipeline)
}

impl Pipeline {
    /// Finds every group's members.
    fn count_members(&mut self) {
        for (index, group) in self.groups.iter().enumerate() {
            if let Some(group) = group {
                self.group_picker.set_all(index, &group.state.members, true);
            }
        }
        for (index, window) in self.windows.iter().enumerate() {
            if let Some(window) = window {
                self.window_picker
                    .set_all(index, &window.state.members, true);
            }
        }
        for (index, unit) in self.patterns.iter().enumerate() {
            if let Some(unit) = unit {
                self.pattern_picker
                    .set_all(index, &unit.state.members, true);
            }
        }
        for (index, unit) in self.graphs.iter().enumerate() {
            if let Some(unit) = unit {
                self.graph_picker.set_all(index, &unit.state.members, true);
            }
        }
    }

    /// Finds every rule's seat.
    fn count_seats(&mut self) {
        for (group, place) in self.groups.iter().enumerate() {
            for (unit, seated) in place.iter().flat_map(|g| g.units.iter().enumerate()) {
                if let Some(seated) = seated {
                    let seat = Seat::Condition { group, unit };
                    self.rules.insert(Arc::clone(&seated.plan.name), seat);
                }
            }
        }
        for (index, window) in self.windows.iter().enumerate() {
            if let Some(window) = window {
                self.rules
                    .insert(Arc::clone(&window.plan.name), Seat::Window(index));
            }
        }
        for (index, unit) in self.patterns.iter().enumerate() {
            if let Some(unit) = unit {
                self.rules
                    .insert(Arc::clone(&unit.plan.name), Seat::Pattern(index));
            }
        }
        for (index, unit) in self.graphs.iter().enumerate() {
            if let Some(unit) = unit {
                self.rules
                    .insert(Arc::clone(&unit.plan.name), Seat::Graph(index));
            }
        }
        for (index, unit) in self.wides.iter().enumerate() {
            if let Some(unit) = unit {
                self.rules
                    .insert(Arc::clone(&unit.plan.name), Seat::Wide(index));
            }
        }
    }
}
