//! Runs the binary `weir` as a user would, and says which real parts this machine has.
//!
//! A test whose real part is missing is skipped with its reason, never passed silently: the reason is
//! printed past the test runner's capture, counted in the file that `WEIR_SKIPS` names, and becomes a
//! failure when `WEIR_REQUIRE` names the part (comma-separated; CONTRIBUTING.md lists them).

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate stands two folders below the root").to_owned()
}

/// The binary under test: beside the running test's folder, as cargo lays both out.
///
/// # Panics
/// When it was not built; `./dev test` builds it, `cargo test` alone does not.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let folder = test.ancestors().nth(2).expect("a test stands in `<profile>/deps`");
    let weir = folder.join("weir");
    assert!(weir.exists(), "{} is not built: run `./dev build`, then the test again", weir.display());
    weir
}

/// One call of `weir`. No `WEIR_*` variable of the surroundings reaches it.
#[derive(Debug)]
pub struct Weir {
    command: Command,
}

/// What a call that ended left behind.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Data.
    pub stdout: String,
    /// All else.
    pub stderr: String,
}

/// A call that goes on; killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Weir {
    /// `weir ARGS`, not yet started.
    pub fn new<I, S>(args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEIR_") {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    /// Working folder of the call. Its temporary files are there too: a call that is killed leaves them behind.
    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder).env("TMPDIR", folder);
        self
    }

    /// One variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let output = self.command.output().expect("the binary exists and starts");
        Outcome {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it and collects what it prints.
    pub fn start(mut self) -> Running {
        let mut child =
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary exists and starts");
        let output = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let readers = vec![collect(stdout, Arc::clone(&output)), collect(stderr, Arc::clone(&output))];
        Running { child, output, readers }
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut text = into.lock().expect("no reader panics while it holds the lock");
            text.push_str(&line);
            text.push('\n');
        }
    })
}

impl Outcome {
    /// The call itself when it ended with this exit code.
    ///
    /// # Panics
    /// With all that was printed, when it ended otherwise.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            self.status.code() == Some(code),
            "ended with {}, expected exit code {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Running {
    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed so far, lines of stdout and stderr in the order they came.
    pub fn output(&self) -> String {
        self.output.lock().expect("no reader panics while it holds the lock").clone()
    }

    /// Waits until a printed line contains this text, and returns that line.
    ///
    /// # Panics
    /// With all that was printed, when the time is over or the process ended before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, at_most: Duration) -> String {
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("the child is ours");
            let output = self.output();
            if let Some(line) = output.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(ended.is_none(), "ended before it printed `{text}`\n{output}");
            assert!(began.elapsed() < at_most, "did not print `{text}` in {at_most:?}\n{output}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error means that it has ended by itself.
        self.child.kill().ok();
        self.child.wait().expect("the child is ours");
    }

    /// Sends what Ctrl-C sends.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "could not send SIG{name} to {}", self.id());
    }

    /// Interrupts it, and waits for its end.
    ///
    /// # Panics
    /// As [`Running::wait`].
    #[track_caller]
    pub fn stop(&mut self, at_most: Duration) -> ExitStatus {
        self.interrupt();
        self.wait(at_most)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// With all that was printed, when it is still there after this time.
    #[track_caller]
    pub fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                for reader in self.readers.drain(..) {
                    reader.join().expect("a reader does not panic");
                }
                return status;
            }
            assert!(began.elapsed() < at_most, "still runs after {at_most:?}\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether the test must fail rather than be skipped when this part is missing.
fn required(part: &str) -> bool {
    std::env::var("WEIR_REQUIRE").is_ok_and(|parts| parts.split(',').any(|required| required.trim() == part))
}

/// Reports a test that cannot run here.
///
/// # Panics
/// When `WEIR_REQUIRE` names the part.
#[track_caller]
pub fn skip(part: &str, reason: &str) {
    assert!(!required(part), "WEIR_REQUIRE names `{part}`, but {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Straight to the file descriptor: what goes through the macros is shown for failed tests only.
    writeln!(std::io::stderr(), "skipped: {test}: {reason}").ok();
    if let Some(path) = std::env::var_os("WEIR_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        if let Ok(mut file) = file {
            writeln!(file, "{reason}").ok();
        }
    }
}

/// A call of psql without the user's own settings, or a skip.
#[track_caller]
pub fn psql() -> Option<Command> {
    if Command::new("psql").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skip("psql", "psql is not installed");
        return None;
    }
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-password", "--set", "ON_ERROR_STOP=1"]).env("PSQL_PAGER", "").env("PAGER", "");
    Some(command)
}

/// A call of one of `tests/readers/*.py` in the Python that has the outside readers, or a skip.
#[track_caller]
pub fn reader(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("WEIR_PYTHON").filter(|path| Path::new(path).exists()) else {
        skip("python", "WEIR_PYTHON names no Python with the outside readers (`./dev test` makes one)");
        return None;
    };
    let path = root().join("tests/readers").join(script);
    assert!(path.exists(), "{} does not exist", path.display());
    Some(script_of(&python, &path))
}

fn script_of(python: &OsStr, path: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A server of `tests/parts`, and what it prints; it ends when this is dropped.
struct Server(Child, BufReader<ChildStdout>);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server in the Python that has these modules, with what it says of itself, or skips the part of its name.
#[track_caller]
fn serve<S: AsRef<OsStr>>(part: &str, modules: &str, args: &[S]) -> Option<(Server, serde_json::Value)> {
    let python = std::env::var_os("WEIR_PYTHON").filter(|python| {
        let import = format!("import {modules}");
        let known = Command::new(python).args(["-c", &import]).stderr(Stdio::null()).status();
        known.is_ok_and(|status| status.success())
    });
    let Some(python) = python else {
        skip(part, &format!("WEIR_PYTHON names no Python that has {modules} (`./dev test` makes one)"));
        return None;
    };
    let mut command = script_of(&python, &root().join("tests/parts").join(part).with_extension("py"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("Python starts");
    let stdout = child.stdout.take().expect("its output is a pipe");
    let mut server = Server(child, BufReader::new(stdout));
    let mut line = String::new();
    server.1.read_line(&mut line).expect("its output can be read");
    let said =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the {part} server says where it is: {error}"));
    Some((server, said))
}

fn text(said: &serde_json::Value) -> String {
    said.as_str().expect("a text").to_owned()
}

/// An S3 server on loopback with one empty bucket; it ends when this is dropped.
pub struct S3Server {
    _server: Server,
    /// Its URL.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
}

/// Starts an S3 server (`tests/parts/s3.py`) that fails so many requests of a hundred, or skips.
///
/// # Panics
/// When it does not start where it is installed.
#[track_caller]
pub fn s3(percent: u32) -> Option<S3Server> {
    let (server, said) = serve("s3", "moto.server", &[percent.to_string().as_str(), "7"])?;
    Some(S3Server { _server: server, endpoint: text(&said["endpoint"]), bucket: text(&said["bucket"]) })
}

/// A TLS end before a server of the Postgres wire; it ends when this is dropped.
pub struct TlsServer {
    _server: Server,
    /// Its port on loopback; its certificate is for `localhost`.
    pub port: u16,
    /// File with the certificate of the authority that signed it.
    pub ca: String,
}

/// Starts a TLS end (`tests/parts/tls.py`) before this port, with its files in a folder, or skips.
///
/// # Panics
/// When it does not start where it is installed.
#[track_caller]
pub fn tls(port: u16, folder: &Path) -> Option<TlsServer> {
    let args = [port.to_string(), folder.display().to_string()];
    let (server, said) = serve("tls", "cryptography", &args)?;
    let port = said["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
    Some(TlsServer { _server: server, port, ca: text(&said["ca"]) })
}

/// A Glue Schema Registry, a double, for as long as it lives.
pub struct GlueServer {
    _server: Server,
    /// Its URL.
    pub endpoint: String,
    /// The UUIDs of the schemas that it was started with.
    pub versions: Vec<String>,
}

/// Starts a Glue Schema Registry (`tests/parts/glue.py`) with these schemas, or skips.
///
/// # Panics
/// When it does not start where it is installed.
#[track_caller]
pub fn glue(schemas: &[PathBuf]) -> Option<GlueServer> {
    let (server, said) = serve("glue", "moto.server, moto.glue.models", schemas)?;
    let versions = said["versions"].as_array().into_iter().flatten().map(text).collect();
    Some(GlueServer { _server: server, endpoint: text(&said["endpoint"]), versions })
}

/// AWS's services for secrets, a double, for as long as it lives.
pub struct VaultServer {
    server: Server,
    /// Its URL.
    pub endpoint: String,
}

impl VaultServer {
    /// Changes the secret.
    ///
    /// # Panics
    /// When it is no longer there.
    pub fn rotate(&mut self, text: &str) {
        let stdin = self.server.0.stdin.as_mut().expect("its input is a pipe");
        writeln!(stdin, "{text}").expect("it takes a line");
        let mut done = String::new();
        self.server.1.read_line(&mut done).expect("its output can be read");
        assert_eq!(done, "{}\n", "the secret was not changed");
    }
}

/// Starts Secrets Manager and Systems Manager (`tests/parts/vault.py`), which hold `shop/registry` and `/shop/user`, or
/// skips.
///
/// # Panics
/// When they do not start where they are installed.
#[track_caller]
pub fn vault(secret: &str, parameter: &str) -> Option<VaultServer> {
    let (server, said) =
        serve("vault", "moto.server, moto.secretsmanager.models, moto.ssm.models", &[secret, parameter])?;
    Some(VaultServer { server, endpoint: text(&said["endpoint"]) })
}

/// Runs an outside reader and parses the JSON that it prints.
///
/// # Panics
/// With its stderr, when it fails.
#[track_caller]
pub fn read_json(mut reader: Command) -> serde_json::Value {
    let output = reader.output().expect("the reader starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader:?} failed\n{stderr}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{reader:?} printed no JSON: {error}\n{stderr}"))
}

/// The real data set (`WEIR_ONLINE_RETAIL`, else where it usually lies), or a skip.
#[track_caller]
pub fn online_retail() -> Option<PathBuf> {
    let usual = || root().join("../shared/data/online-retail/online-retail.csv.gz");
    let path = std::env::var_os("WEIR_ONLINE_RETAIL").map_or_else(usual, PathBuf::from);
    if !path.exists() {
        skip("online-retail", "the Online Retail data set is not here (WEIR_ONLINE_RETAIL)");
        return None;
    }
    Some(path)
}

/// Compares a committed file, named from the root, with what it should hold; `WEIR_BLESS=1` writes it instead.
///
/// # Panics
/// With the first line that differs.
#[track_caller]
pub fn compare_file(path: &str, wanted: &str) {
    let file = root().join(path);
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    if found == wanted {
        return;
    }
    if std::env::var("WEIR_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(&file, wanted).expect("the repository can be written to");
        return;
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "{path} is out of date from line {}\n  found:  {}\n  wanted: {}\nrun the test again with WEIR_BLESS=1 to write it",
        same + 1,
        found.lines().nth(same).unwrap_or("(end)"),
        wanted.lines().nth(same).unwrap_or("(end)"),
    );
}
