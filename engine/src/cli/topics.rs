//! `topics check|create`: our topics on the brokers, without an engine.

use std::io::Write;

use super::arguments::TopicsCommand;
use super::failure::{Exit, Failure};
use super::settings;
use crate::error::EngineError;
use crate::log::KafkaLog;
use crate::topics;

/// Runs `topics`.
pub(super) async fn run(command: &TopicsCommand, out: &mut dyn Write) -> Result<(), Failure> {
    let (TopicsCommand::Check(arguments) | TopicsCommand::Create(arguments)) = command;
    let (config, _) = settings::load(arguments)?;
    let Some(kafka) = config.kafka.log.clone() else {
        return Err(Failure {
            exit: Exit::Usage,
            message: "no brokers are set: set `kafka.brokers`, for example TIDEGATE_KAFKA__BROKERS=127.0.0.1:9092"
                .to_owned(),
        });
    };
    let log = KafkaLog::open(kafka).map_err(EngineError::from)?;
    if matches!(command, TopicsCommand::Create(_)) {
        topics::create(&config, &log).await?;
    }
    let problems = topics::check(&config, &log).await?;
    log.close().await.map_err(EngineError::from)?;
    if !problems.is_empty() {
        return Err(Failure::new(problems.join("\n")));
    }
    for topic in topics::ours(&config) {
        writeln!(
            out,
            "{}: {} partitions, good",
            topic.name, topic.settings.partitions
        )?;
    }
    Ok(())
}
