//! [`run`]: how much work a CPU second does, on a topic that was filled before.

use crate::Failure;
use crate::arguments::Arguments;
use crate::broker::Broker;
use crate::flow::Flow;
use crate::report::{Figures, median, print};
use crate::subject::{Place, Subject};

/// Preloads, lets every subject do every scenario, and prints what that took.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let broker = Broker::at(arguments)?;
    broker.create(&arguments.topic, arguments.partitions)?;
    let flow = Flow::past(arguments.resources, arguments.metrics, arguments.events);
    eprintln!("producing {} events", flow.events);
    broker.produce(&arguments.topic, &flow, false)?;
    let mut rows = Vec::new();
    for scenario in &arguments.scenarios {
        for subject in &arguments.subjects {
            let mut runs = Vec::new();
            for run in 0..arguments.runs {
                let place = Place::new(*scenario, subject, run, &arguments.topic, flow.events);
                let mut running = Subject::start(subject, *scenario, &place, &broker, arguments)?;
                let measured = running.finish(flow.events, arguments.warm_up)?;
                let figures = Figures::new(scenario.name(), subject, measured);
                eprintln!(
                    "{} {subject} {}: {:.0} events per CPU second",
                    scenario.name(),
                    run + 1,
                    figures.per_cpu
                );
                runs.push(figures);
            }
            rows.extend(median(runs));
        }
    }
    print(&rows, arguments)
}
