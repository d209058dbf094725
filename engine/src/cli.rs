//! The command line: `tidegate VERB …`. Data goes to standard output, messages to standard error; exit codes are those
//! of [`Exit`].

mod apply;
pub mod arguments;
mod change;
mod client;
mod dead_letters;
mod failure;
mod import;
mod print;
mod replay;
mod serve;
mod settings;
mod show;
mod stream;
mod topics;
mod why;
mod yaml;

#[cfg(test)]
mod tests;

pub use arguments::Cli;
pub use failure::{Exit, Failure};

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Command;
use clap::Parser as _;

/// Runs the program: reads the command line, does what it says, answers with the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Clap prints usage errors itself and exits with 2, which is our code for wrong usage.
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let done = run(&cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                // Nobody reads standard error when this fails, so nobody can be told.
                let _ = writeln!(io::stderr(), "{failure}");
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Runs one command.
///
/// # Errors
/// Why it failed, with the exit code.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Config(arguments) => settings::run(&arguments.command, out),
        Command::Serve(arguments) => busy()?.block_on(serve::run(arguments)),
        Command::Replay(arguments) => replay::run(arguments, out),
        Command::Import(arguments) => import::run(arguments, out),
        Command::Demo(arguments) => busy()?.block_on(demo(arguments)),
        client => calm()?.block_on(ask(client, out)),
    }
}

/// Commands that talk to an engine.
async fn ask(command: &Command, out: &mut dyn Write) -> Result<(), Failure> {
    use change::Change;
    match command {
        Command::Apply(arguments) => apply::run(arguments, out).await,
        Command::Get(arguments) => show::get(arguments, out).await,
        Command::Describe(arguments) => show::describe(arguments, out).await,
        Command::Why(arguments) => why::run(arguments, out).await,
        Command::Delete(arguments) => change::run(Change::Delete, arguments, out).await,
        Command::Enable(arguments) => change::run(Change::Enable, arguments, out).await,
        Command::Disable(arguments) => change::run(Change::Disable, arguments, out).await,
        Command::Tail(arguments) => stream::run(arguments, out).await,
        Command::Dlq(arguments) => {
            dead_letters::run(&print::DEAD_LETTERS, &arguments.command, out).await
        }
        Command::Late(arguments) => {
            dead_letters::run(&print::LATE_ROWS, &arguments.command, out).await
        }
        Command::Topics(arguments) => topics::run(&arguments.command, out).await,
        Command::Config(_)
        | Command::Serve(_)
        | Command::Replay(_)
        | Command::Import(_)
        | Command::Demo(_) => Err(Failure::new("this command asks no engine")),
    }
}

/// The engine with made-up devices; without `--data` in a folder that is gone afterwards.
async fn demo(arguments: &arguments::DemoArguments) -> Result<(), Failure> {
    let (config, _) = settings::load(&arguments.engine)?;
    let options = crate::demo::DemoOptions {
        data: arguments.engine.data.clone(),
        lasts: arguments
            .stop_after
            .map(tidegate_proto::time::Span::duration),
        plain: arguments.plain,
    };
    Ok(crate::demo::run(config, options).await?)
}

/// A runtime for the engine.
fn busy() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// A runtime for a client: one thread is enough.
fn calm() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
