//! The program in Lambda's loop, against a small double of Lambda's runtime API.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Hands out events and takes what comes back, path and body; then leaves the program waiting.
fn lambda(events: Vec<Value>) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (answered, answers) = channel();
    let events = Arc::new(Mutex::new(events.into_iter().enumerate()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (events, answered) = (events.clone(), answered.clone());
            // A client keeps connections open, and may use another one.
            std::thread::spawn(move || {
                let mut reading = BufReader::new(stream.unwrap());
                while let Some((path, body)) = request(&mut reading) {
                    let reply = if path.ends_with("/invocation/next") {
                        match events.lock().unwrap().next() {
                            Some((number, event)) => invocation(number, &event.to_string()),
                            None => loop {
                                std::thread::park();
                            },
                        }
                    } else {
                        answered.send((path, body)).unwrap();
                        "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
                    };
                    reading.get_mut().write_all(reply.as_bytes()).unwrap();
                }
            });
        }
    });
    (address, answers)
}

fn invocation(number: usize, event: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: call-{number}\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:111122223333:function:f\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{event}",
        event.len()
    )
}

/// The next request of a connection; none at its end.
fn request(reading: &mut BufReader<std::net::TcpStream>) -> Option<(String, String)> {
    let (mut head, mut length, mut chunked) = (String::new(), 0, false);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        if reading.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        chunked |= lower.starts_with("transfer-encoding: chunked");
        head.push_str(&line);
    }
    assert!(!chunked, "{head}");
    let mut body = vec![0; length];
    reading.read_exact(&mut body).unwrap();
    Some((head.split(' ').nth(1).unwrap().to_owned(), String::from_utf8(body).unwrap()))
}

#[test]
fn calls_are_answered_one_after_the_other_with_a_text_of_json_and_leave_a_line_of_metrics() {
    let event =
        |rows: Value| json!({ "num_records": rows.as_array().unwrap().len(), "arguments": rows, "user": "weir" });
    let events = vec![event(json!([["7b7d"], null])), event(json!([["00000000010c"]])), event(json!([[null]]))];
    let (address, answers) = lambda(events);
    let mut program = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "weir-cdc-avro-to-json")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_REGION", "eu-central-1")
        .env("WEIR_ENVIRONMENT", "shop-qa")
        // Nobody listens there.
        .env("WEIR_REGISTRY", "http://127.0.0.1:9")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answer = |call: &str| -> Value {
        let (path, body) = answers.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(path, format!("/2018-06-01/runtime/invocation/{call}/response"));
        // A JSON string that holds JSON.
        serde_json::from_str(&serde_json::from_str::<String>(&body).unwrap()).unwrap()
    };
    assert_eq!(answer("call-0"), json!({ "success": true, "num_records": 2, "results": [null, null] }));
    let away = answer("call-1");
    assert_eq!((&away["success"], &away["num_records"]), (&json!(false), &json!(1)));
    assert!(away["error_msg"].as_str().unwrap().starts_with("error[W3208]"), "{away}");
    assert_eq!(answer("call-2")["results"], json!([null]));
    program.kill().unwrap();
    program.wait().unwrap();

    let mut log = String::new();
    program.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (&line["weir_udf_undecoded_rows"], &line["weir_udf_failed_calls"])).collect();
    let (none, one) = (json!(0.0), json!(1.0));
    assert_eq!(told, [(&one, &none), (&none, &one), (&none, &none)]);
    assert!(lines.iter().all(|line| line["environment"] == "shop-qa"), "{log}");
}
