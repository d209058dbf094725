//! Settings on the command line, and `config check|show`.

use std::io::Write;

use super::arguments::{ConfigCommand, EngineArguments};
use super::failure::{Exit, Failure};
use crate::config::{Config, Merged, Sources};

/// Reads all layers.
pub(super) fn load(arguments: &EngineArguments) -> Result<(Config, Merged), Failure> {
    let mut sources = Sources {
        file: arguments.config.clone(),
        ..Sources::of_process()
    };
    if let Some(data) = &arguments.data {
        sources
            .flags
            .push(("data", data.display().to_string(), "--data"));
    }
    if let Some(listen) = &arguments.listen {
        sources.flags.push(("listen", listen.clone(), "--listen"));
    }
    Config::load(&sources).map_err(|error| Failure {
        exit: Exit::Usage,
        message: error.to_string(),
    })
}

/// Runs `config`.
pub(super) fn run(command: &ConfigCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { engine } => {
            load(engine)?;
            writeln!(out, "the settings are good")?;
        }
        ConfigCommand::Show { engine, origin } => {
            let (_, merged) = load(engine)?;
            out.write_all(merged.show(*origin).as_bytes())?;
        }
    }
    Ok(())
}
