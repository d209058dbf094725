//! What a shard asks of its pipeline as a whole: when something is due next, and how much it holds.

use tidegate_proto::Timestamp;

use super::Pipeline;
use super::graphs::GraphUnit;
use super::group::Group;
use super::patterns::PatternUnit;
use super::wide::WideUnit;
use super::windows::WindowUnit;

impl Pipeline {
    /// The earliest clock at which [`Pipeline::advance`] would do something; may be too early, never too late.
    #[must_use]
    pub fn next_clock(&self) -> Option<Timestamp> {
        let groups = self.groups.iter().flatten();
        let groups = groups.filter_map(|group| group.state.timers.next());
        let windows = self.windows.iter().flatten();
        let windows = windows.filter_map(WindowUnit::next_clock);
        let patterns = self.patterns.iter().flatten();
        let patterns = patterns.filter_map(PatternUnit::next_clock);
        let graphs = self.graphs.iter().flatten();
        let graphs = graphs.filter_map(GraphUnit::next_clock);
        let wides = self.wides.iter().flatten().filter_map(WideUnit::next_clock);
        let all = groups.chain(windows).chain(patterns).chain(graphs);
        all.chain(wides).min().map(Timestamp)
    }

    /// Bytes of memory that the state holds, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let groups: usize = self.groups.iter().flatten().map(Group::bytes).sum();
        let windows: usize = self.windows.iter().flatten().map(WindowUnit::bytes).sum();
        let lines: usize = self.lines.iter().map(|(line, _)| line.bytes()).sum();
        let patterns: usize = self.patterns.iter().flatten().map(PatternUnit::bytes).sum();
        let graphs: usize = self.graphs.iter().flatten().map(GraphUnit::bytes).sum();
        let wides: usize = self.wides.iter().flatten().map(WideUnit::bytes).sum();
        let pickers = self.group_picker.bytes()
            + self.window_picker.bytes()
            + self.pattern_picker.bytes()
            + self.graph_picker.bytes();
        self.clocks.bytes() + lines + groups + windows + patterns + graphs + wides + pickers
    }
}
