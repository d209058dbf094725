//! What a snapshot keeps of a wide rule, and how it goes on from it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::joined::{JoinedSaved, JoinedState};
use super::{Engine, WideState, WideUnit};
use crate::pipeline::{Pipeline, PipelineSettings, RestoreError};
use crate::plan::Plan;
use crate::plan::wide::{WideEngine, WidePlan};

/// The engine's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum EngineSaved {
    /// A snapshot of the pipeline inside.
    Inner(Vec<u8>),
    Join(Box<JoinedSaved>),
}

/// All of a wide rule that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WideSaved {
    state: WideState,
    engine: EngineSaved,
}

impl WideUnit {
    pub(crate) fn save(&self) -> WideSaved {
        WideSaved {
            state: self.state.clone(),
            engine: match &self.engine {
                Engine::Inner(inner) => EngineSaved::Inner(inner.snapshot()),
                Engine::Join(join) => EngineSaved::Join(Box::new(join.saved.clone())),
            },
        }
    }

    pub(crate) fn restore(
        plan: &Arc<Plan>,
        wide: &Arc<WidePlan>,
        saved: WideSaved,
        settings: PipelineSettings,
    ) -> Result<Self, RestoreError> {
        let other = || RestoreError::Plan(plan.name.to_string());
        let engine = match (saved.engine, &wide.engine) {
            (EngineSaved::Inner(bytes), WideEngine::Inner(inner)) => {
                let plans = vec![Arc::clone(inner)];
                let inner = Pipeline::restore(&bytes, plans, super::change::inside(settings))?;
                Engine::Inner(Box::new(inner))
            }
            (EngineSaved::Join(saved), WideEngine::Join(join)) => {
                let how = (wide.ordered, settings.limits.join_rows);
                Engine::Join(Box::new(JoinedState::resume(join, how, *saved)))
            }
            _ => return Err(other()),
        };
        Ok(Self {
            plan: Arc::clone(plan),
            wide: Arc::clone(wide),
            state: saved.state,
            engine,
            most_keys: settings.limits.groups,
            wanted: None,
        })
    }
}
