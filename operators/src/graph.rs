//! The graph form: nodes with states, exact beliefs, and the passes in which they run, change and fire.

pub(crate) mod belief;
pub(crate) mod machine;
mod natural;
pub(crate) mod net;
pub(crate) mod sheet;
