//! What the kernel says of a process: CPU time of all its threads, and the most memory that it held.

/// Ticks of a second in `/proc`: 100 on every Linux.
const TICKS: f64 = 100.0;

/// CPU seconds of a process with all its threads, also those that ended; user and system.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Most resident memory that a process ever held, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The command, on some cores alone if any are named.
pub(crate) fn on_cores(program: &std::path::Path, cores: Option<&str>) -> std::process::Command {
    match cores {
        None => std::process::Command::new(program),
        Some(cores) => {
            let mut command = std::process::Command::new("taskset");
            command.args(["-c", cores]).arg(program);
            command
        }
    }
}
