//! `import`: a rule of another platform as a document of ours.

use std::io::{Read, Write};
use std::path::Path;

use super::arguments::{ImportArguments, Platform};
use super::failure::Failure;
use super::yaml;
use crate::import::waylay;

/// Most bytes of a file that is imported.
const BYTES: u64 = 16 << 20;

/// Runs `import`.
pub(super) fn run(arguments: &ImportArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let source = read(&arguments.file)?;
    let Platform::Waylay = arguments.platform;
    let imported = waylay(&source).map_err(|problems| Failure::new(problems.join("\n")))?;
    for warning in &imported.warnings {
        // Nobody reads standard error when this fails, so nobody can be told.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    out.write_all(yaml::text(&imported.rule).as_bytes())?;
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut source = String::new();
    let cannot = |error| Failure::usage(format!("cannot read `{}`: {error}", path.display()));
    if path == Path::new("-") {
        let input = std::io::stdin().lock();
        input
            .take(BYTES)
            .read_to_string(&mut source)
            .map_err(cannot)?;
    } else {
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(BYTES)
            .read_to_string(&mut source)
            .map_err(cannot)?;
    }
    Ok(source)
}
