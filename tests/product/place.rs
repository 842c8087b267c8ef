//! A fresh place for a test: a folder with a pipeline of its own and the folder of the embedded parts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_testkit::harness::{Outcome, Running, Weir, root};

/// What a double of AWS takes for a user's.
pub const CREDENTIALS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// Removed with everything in it when dropped.
pub struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    /// With a copy of a pipeline, named from the root.
    pub fn with(pipeline: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
        copy(&root().join(pipeline), &place.pipeline());
        place
    }

    /// The reference pipeline.
    pub fn reference() -> Self {
        Self::with("pipelines/retail")
    }

    /// With credentials of AWS, which its doubles take.
    pub fn with_aws(mut self) -> Self {
        for (name, value) in CREDENTIALS {
            self.set(name, value);
        }
        self
    }

    /// A copy of all that stands here, to go on from on its own. Nothing may run here meanwhile.
    pub fn twin(&self) -> Self {
        let twin = Self { folder: tempfile::tempdir().unwrap(), variables: self.variables.clone() };
        copy_all(self.path(), twin.path(), &|_| true);
        twin
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn pipeline(&self) -> PathBuf {
        self.path().join("pipeline")
    }

    /// The folder of the embedded parts.
    pub fn parts(&self) -> PathBuf {
        self.path().join("parts")
    }

    /// The lake, which every command makes and finds there.
    pub fn lake(&self) -> PathBuf {
        self.parts().join("lake")
    }

    /// Writes a file of the pipeline anew, changed by `edit`.
    pub fn edit(&self, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.pipeline().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = edit(text.clone());
        assert_ne!(text, changed, "the edit of {file} changed nothing");
        std::fs::write(path, changed).unwrap();
    }

    /// Sets a variable for every call from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A call of `weir` on this pipeline and folder, not yet started.
    pub fn weir(&self, args: &[&str]) -> Weir {
        let (pipeline, parts) = (self.pipeline(), self.parts());
        let mut all = vec!["-p", pipeline.to_str().unwrap(), "-d", parts.to_str().unwrap()];
        all.extend(args);
        let call = Weir::new(all).dir(self.path());
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// Runs a call that must succeed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.weir(args).run().expect_code(0)
    }

    /// `weir up` with these arguments on a free port, once it answers; [`Place::running`] has its addresses.
    #[track_caller]
    pub fn up(&self, args: &[&str]) -> Running {
        let mut running = self.weir(&[&["up", "--port", "0"], args].concat()).start();
        running.wait_for("psql", Duration::from_secs(60));
        running
    }

    /// Sends change events, one JSON object per line.
    #[track_caller]
    pub fn replay_events(&self, lines: &str) {
        let file = self.path().join("events.jsonl");
        std::fs::write(&file, lines).unwrap();
        self.run(&["replay", "events", file.to_str().unwrap()]);
    }

    /// Sends what waits through all stages.
    #[track_caller]
    pub fn build(&self) {
        self.run(&["stream", "--once"]);
        self.run(&["build"]);
    }

    /// Runs a call that a failpoint (`name`, or `name=2` for its second time) must kill.
    #[track_caller]
    pub fn killed(&self, args: &[&str], failpoint: &str) {
        let killed = self.weir(args).env("WEIR_FAILPOINT", failpoint).run();
        let name = failpoint.split('=').next().unwrap();
        let said = killed.stderr.contains(&format!("failpoint {name}"));
        assert!(said && !killed.status.success(), "{args:?} was not killed at {failpoint}\n{}", killed.stderr);
    }

    /// What the process that runs here says of its addresses.
    pub fn running(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.parts().join("running.json")).unwrap()).unwrap()
    }

    /// Rows of a call's JSON, which must succeed.
    #[track_caller]
    pub fn rows(&self, args: &[&str]) -> Vec<Value> {
        let outcome = self.run(&[&["-o", "json"], args].concat());
        let parsed: Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}\n--- stdout\n{}", outcome.stdout));
        parsed.as_array().expect("a listing is an array").clone()
    }

    /// Rows of a query on the warehouse.
    #[track_caller]
    pub fn sql(&self, query: &str) -> Vec<Value> {
        self.rows(&["sql", query])
    }

    /// The rows of a query, their values as text with spaces between.
    #[track_caller]
    pub fn lines(&self, query: &str) -> Vec<String> {
        let line = |row: &Value| row.as_object().unwrap().values().map(text).collect::<Vec<_>>().join(" ");
        self.sql(query).iter().map(line).collect()
    }

    /// The only value of a query that gives one, as text.
    #[track_caller]
    pub fn value(&self, query: &str) -> String {
        let rows = self.sql(query);
        let row = rows.first().and_then(Value::as_object).expect("the query gives a row");
        text(row.values().next().expect("the row has a value"))
    }

    /// Names of all files below the lake.
    pub fn lake_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.lake()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

/// One request over HTTP, e.g. `GET /healthz`; status and body of the answer.
pub fn http(address: &str, request: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{request} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Looks again and again until it is so.
#[track_caller]
pub fn until(what: &str, at_most: Duration, is_so: impl Fn() -> bool) {
    until_ok(at_most, || if is_so() { Ok(()) } else { Err(what.to_owned()) });
}

/// Asks again and again until this is the answer.
#[track_caller]
pub fn until_it_is(wanted: &str, at_most: Duration, ask: impl Fn() -> String) {
    let found = |found: String| if found == wanted { Ok(()) } else { Err(format!("{wanted}, and it is {found}")) };
    until_ok(at_most, || found(ask()));
}

#[track_caller]
fn until_ok(at_most: Duration, look: impl Fn() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(what) = look() {
        assert!(began.elapsed() < at_most, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A JSON value as text, without the quotes of a string.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Copies a folder with everything in it, but not what Weir keeps in `.weir`.
pub fn copy(from: &Path, to: &Path) {
    copy_all(from, to, &|name| name != ".weir");
}

fn copy_all(from: &Path, to: &Path, wanted: &dyn Fn(&std::ffi::OsStr) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !wanted(&entry.file_name()) {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target, wanted);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
