//! The real program as a process: built once, started on a port of its own, killed at will.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program: the one that `cargo test --workspace` built, or, when a source is newer than that, built now.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // This test lies in `<target>/<profile>/deps`.
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("a test lies in deps");
        let program = profile.join("tidegate");
        let built = program.metadata().and_then(|metadata| metadata.modified());
        if built.is_ok_and(|built| newest_source() < built) {
            return program;
        }
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "tidegate",
                "--bin",
                "tidegate",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo can be called");
        assert!(status.success(), "the program does not build");
        program
    })
}

/// When the newest file that the program is made of was written.
fn newest_source() -> SystemTime {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a member");
    let mut newest = SystemTime::UNIX_EPOCH;
    let members = ["proto", "scripts", "operators", "actors", "engine"];
    let mut folders: Vec<PathBuf> = members.iter().map(|member| root.join(member)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder can be read") {
            let entry = entry.expect("an entry can be read");
            let metadata = entry.metadata().expect("a file can be looked at");
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                newest = newest.max(metadata.modified().expect("a file has a time"));
            }
        }
    }
    newest
}

/// A client for the doors. It speaks plain HTTP only, but will not be built without a TLS provider.
pub fn client() -> reqwest::Client {
    // A second test of the same process finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client can be built")
}

/// A running engine.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Process {
    /// Starts `tidegate serve` on a data folder; does not wait.
    pub fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_saying(data, settings, Stdio::inherit())
    }

    /// The same, where its log lines go somewhere else.
    pub fn start_saying(data: &Path, settings: &[(&str, &str)], says: Stdio) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("a socket has an address").port();
        drop(free);
        let mut command = Command::new(program());
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(says);
        // Settings of whoever runs the tests are not those of the test.
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in inherited.filter(|name| name.starts_with("TIDEGATE_")) {
            command.env_remove(name);
        }
        for (name, value) in settings {
            command.env(name, value);
        }
        let child = command.spawn().expect("the program starts");
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Waits until every shard has recovered; answers how long that took.
    ///
    /// # Panics
    /// When it never happens, or the process ends.
    pub async fn ready(&mut self, client: &reqwest::Client) -> Duration {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("the engine ended: {status}");
            }
            let answer = client.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the engine did not become ready"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Stops it in its tracks, as a machine that hangs.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Whether it stands still, from outside or by itself.
    pub fn is_frozen(&self) -> bool {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // What stands before it is a name in brackets, which may hold anything.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_some_and(|state| state.starts_with('T'))
    }

    /// Files and sockets that it has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill can be called");
        assert!(status.success());
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill can be called");
        assert!(status.success());
        self.child
            .wait()
            .expect("a child that was told to stop ends")
    }

    /// Runs a client command of the program against this engine.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        Command::new(program())
            .args(arguments)
            .args(["--server", &self.url])
            .output()
            .expect("the program starts")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed half-way must not leave an engine behind; one that ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
