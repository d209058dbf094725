//! [`Crew`]: the real `tidegate serve` as one process or several of one group, with brokers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::process::on_cores;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that is named, or the one beside this one, brought up to date by cargo.
pub(crate) fn program(arguments: &Arguments) -> Result<PathBuf, Failure> {
    if let Some(program) = &arguments.program {
        return Ok(program.into());
    }
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = me.parent().ok_or("a program lies in a folder")?;
    let mut build = Command::new(env!("CARGO"));
    // Both together, as cargo built us: features are the same, so nothing is compiled twice.
    build.args(["build", "--quiet", "--package", "tidegate"]);
    build.args(["--package", "tidegate-benches", "--bin", "tidegate"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = build.current_dir(root).status();
    match status {
        Ok(status) if status.success() => Ok(folder.join("tidegate")),
        _ => Err("the engine does not build".into()),
    }
}

/// Which core a worker runs on: they take turns over those that there are.
fn core_of(worker: usize) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (worker % cores).to_string()
}

/// Workers of one group; they end with us.
#[derive(Debug)]
pub(crate) struct Crew(Vec<Engine>);

impl Crew {
    /// Starts as many as are wanted, one after another, and waits until each has its share of the shards.
    pub(crate) fn start(
        program: &Path,
        broker: &str,
        name: &str,
        arguments: &Arguments,
    ) -> Result<Self, Failure> {
        let Some(count) = arguments.workers else {
            let cores = arguments.cores.as_deref();
            let only = Engine::start(program, broker, (name, ""), (arguments, cores))?;
            return Ok(Self(vec![only]));
        };
        let mut crew = Self(Vec::new());
        for worker in 0..count {
            let (of, core) = (format!(".{worker}"), core_of(worker));
            let engine = Engine::start(program, broker, (name, &of), (arguments, Some(&core)))?;
            crew.0.push(engine);
        }
        crew.even(arguments.partitions)?;
        Ok(crew)
    }

    /// Waits until every worker tells of shards, and all together of all.
    fn even(&self, partitions: i32) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let shares = self.0.iter().map(Engine::shards);
            let shares = shares.collect::<Result<Vec<usize>, _>>()?;
            let all = usize::try_from(partitions).unwrap_or(0);
            let most = all.div_ceil(self.0.len());
            if shares.iter().sum::<usize>() == all && shares.iter().all(|own| *own <= most) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the shards are not shared evenly: {shares:?}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Their processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.iter().map(|engine| engine.child.id()).collect()
    }

    /// Brings a document in force.
    pub(crate) fn apply(&self, document: &str) -> Result<(), Failure> {
        self.0
            .first()
            .map_or(Ok(()), |engine| engine.apply(document))
    }

    /// Events that all shards have taken, and result lines that they have made; only acknowledged ones.
    pub(crate) fn counts(&self) -> Result<(u64, u64), Failure> {
        let mut sum = (0, 0);
        for engine in &self.0 {
            let own = engine.counts()?;
            sum = (sum.0 + own.0, sum.1 + own.1);
        }
        Ok(sum)
    }
}

/// A running engine; it ends with us.
#[derive(Debug)]
pub(crate) struct Engine {
    child: Child,
    program: PathBuf,
    address: String,
    folder: PathBuf,
}

impl Engine {
    /// Starts one under a name that is its group and the prefix of its topics, and waits until it is ready.
    fn start(
        program: &Path,
        broker: &str,
        (name, worker): (&str, &str),
        (arguments, cores): (&Arguments, Option<&str>),
    ) -> Result<Self, Failure> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free
            .map_err(|error| format!("no port is free: {error}"))?
            .to_string();
        let folder = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
        let folder = folder.join(format!("{name}{worker}"));
        let mut command = on_cores(program, cores);
        command
            .args(["serve", "--listen", &address, "--data"])
            .arg(&folder);
        // Settings of whoever runs this are not those of the run.
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in inherited.filter(|name| name.starts_with("TIDEGATE_")) {
            command.env_remove(name);
        }
        command
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or("warn".to_owned()),
            )
            .env("TIDEGATE_KAFKA__BROKERS", broker)
            .env("TIDEGATE_KAFKA__GROUP", name)
            .env("TIDEGATE_TOPICS__PREFIX", format!("{name}."))
            .env("TIDEGATE_PARTITIONS", arguments.partitions.to_string())
            .stdout(Stdio::null());
        for (key, value) in &arguments.settings {
            let key = key.replace('.', "__").to_ascii_uppercase();
            command.env(format!("TIDEGATE_{key}"), value);
        }
        let child = command
            .spawn()
            .map_err(|error| format!("the engine: {error}"))?;
        let mut engine = Self {
            child,
            program: program.to_owned(),
            address,
            folder,
        };
        engine.ready()?;
        Ok(engine)
    }

    fn ready(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        while !self.get("/readyz").is_ok_and(|(status, _)| status == 200) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the engine ended: {status}"));
            }
            if began.elapsed() > PATIENCE {
                return Err("the engine did not become ready".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Brings a document in force.
    fn apply(&self, document: &str) -> Result<(), Failure> {
        let mut client = Command::new(&self.program)
            .args([
                "apply",
                "-f",
                "-",
                "--server",
                &format!("http://{}", self.address),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("apply: {error}"))?;
        if let Some(mut input) = client.stdin.take() {
            input
                .write_all(document.as_bytes())
                .map_err(|error| format!("apply: {error}"))?;
        }
        match client.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("the engine did not take\n{document}")),
        }
    }

    /// How many shards run here.
    fn shards(&self) -> Result<usize, Failure> {
        let (_, text) = self.get("/metrics")?;
        let lines = text.lines();
        Ok(lines
            .filter(|line| line.starts_with("tidegate_shard_epoch{"))
            .count())
    }

    fn counts(&self) -> Result<(u64, u64), Failure> {
        let (_, text) = self.get("/metrics")?;
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            numbers.sum()
        };
        Ok((
            sum("tidegate_shard_events_total{"),
            sum("tidegate_shard_results_total{"),
        ))
    }

    fn get(&self, path: &str) -> Result<(u16, String), Failure> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let host = &self.address;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
            )?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = ask().map_err(|error| format!("GET {path}: {error}"))?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok((status.unwrap_or(0), answer))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already; its topics go with the broker.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
