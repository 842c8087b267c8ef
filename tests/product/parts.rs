//! The path over real parts: Apache Kafka, a schema registry, PostgreSQL and Debezium, which `tests/parts/parts.py`
//! starts for all tests at once, and ends when this process does.

mod aws_local;
mod conformance;
mod listeners;
mod postgres;
mod sqlserver;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value;
use weir_testkit::harness::{root, skip};

use crate::place::Place;

/// The parts, and the pipe that keeps them.
struct Parts {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Ends by itself when the pipe does.
    _script: Child,
}

/// Kafka and a registry, which has seen nothing yet but the schemas of `sqlserver`: their ids are in the bytes.
static PARTS: LazyLock<Mutex<Parts>> = LazyLock::new(|| {
    let mut script = script().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = script.stdin.take().unwrap();
    let stdout = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut parts = Parts { stdin, stdout, _script: script };
    let at = parts.start("kafka registry");
    sqlserver::register(at["registry"].as_str().unwrap());
    Mutex::new(parts)
});

impl Parts {
    /// Starts parts and says where all are.
    fn start(&mut self, names: &str) -> Value {
        writeln!(self.stdin, "{names}").unwrap();
        let line = self.stdout.next().unwrap_or_else(|| panic!("{names} did not start: see the script's words above"));
        serde_json::from_str(&line.unwrap()).unwrap()
    }
}

fn script() -> Command {
    let mut command = Command::new("python3");
    command.arg(root().join("tests/parts/parts.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// What this machine lacks, in words.
static LACKS: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let lacks = |part| match script().args(["--missing", part]).output() {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => "python3 is not installed".to_owned(),
    };
    ["kafka", "postgres"].map(|part| (part, lacks(part))).into()
});

/// Whether this machine has what a part needs; a skip where it has not.
#[track_caller]
fn has(part: &str) -> bool {
    let lacks = &LACKS[part];
    if !lacks.is_empty() {
        skip(part, lacks);
    }
    lacks.is_empty()
}

/// Starts parts beside Kafka and the registry, and says where all are; a skip where Kafka cannot run.
#[track_caller]
fn parts(more: &str) -> Option<Value> {
    has("kafka").then(|| PARTS.lock().unwrap_or_else(PoisonError::into_inner).start(more))
}

/// The settings of a client for a listener: `plain`, `sasl`, or `tls` (SASL over TLS); the password as `password` says.
fn client(kafka: &Value, listener: &str, password: &str) -> BTreeMap<String, String> {
    let text = |name: &str| kafka[name].as_str().unwrap().to_owned();
    let settings: &[(&str, String)] = match listener {
        "plain" => &[],
        "sasl" => &[("security.protocol", "SASL_PLAINTEXT".into())],
        _ => &[("security.protocol", "SASL_SSL".into()), ("ssl.ca.location", text("certificate"))],
    };
    let mut settings: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    if listener != "plain" {
        settings.insert("sasl.mechanism".into(), text("mechanism"));
        settings.insert("sasl.username".into(), text("user"));
        settings.insert("sasl.password".into(), password.into());
    }
    settings
}

/// A pipeline whose stream is on the real parts, by this listener; secrets stand in it as references.
fn on_parts(pipeline: &str, at: &Value, listener: &str, partitions: u32) -> Place {
    let place = Place::with(pipeline);
    let kafka = &at["kafka"];
    let client = client(kafka, listener, &format!("${{file:{}}}", kafka["password"].as_str().unwrap()));
    // JSON is YAML.
    let environment = serde_json::json!({
        "stream": {
            "brokers": kafka[listener], "registry": at["registry"], "partitions": partitions, "client": client,
        },
        "lake": {"root": "lake"},
        "warehouse": {"target": "embedded"},
    });
    place.edit("environments/dev.yaml", |_| environment.to_string());
    place
}
