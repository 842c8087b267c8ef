//! A double of the Redshift Data API on loopback, and of the services that give passwords: it runs statements on a warehouse that
//! `weir serve` serves, remembers what it was asked, and fails on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::wire::{Answer, Wire};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused because there are too many.
    Throttled,
    /// The service is out of order, before it does anything.
    OutOfOrder,
    /// It is carried out, and nobody hears of it.
    ReplyLost,
    /// Its statement is taken and never ends.
    NeverEnds,
}

#[derive(Default)]
struct State {
    /// What goes wrong: action, a part of the body, how, how often.
    faults: Vec<(String, String, Fault, usize)>,
    asked: Vec<(String, Value)>,
    /// What became of each statement, by id.
    ended: HashMap<String, Value>,
    answers: HashMap<String, Answer>,
    by_token: HashMap<String, String>,
    sessions: HashMap<String, Wire>,
}

/// Serves until the test ends.
pub struct DataApi {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl DataApi {
    /// In front of the warehouse at this port.
    pub fn start(warehouse: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                serve(socket, &shared, warehouse);
            }
        });
        Self { endpoint, state }
    }

    /// From now on so many requests of this action whose body has this text go wrong.
    pub fn fail(&self, action: &str, with: &str, fault: Fault, times: usize) {
        self.state.lock().unwrap().faults.push((action.to_owned(), with.to_owned(), fault, times));
    }

    /// Forgets the faults that did not happen; how many those were.
    pub fn repair(&self) -> usize {
        let faults = std::mem::take(&mut self.state.lock().unwrap().faults);
        faults.iter().map(|(.., times)| times).sum()
    }

    /// Ends the sessions that clients left open.
    pub fn end_sessions(&self) {
        self.state.lock().unwrap().sessions.clear();
    }

    /// Bodies of the requests of an action so far.
    pub fn asked(&self, action: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(asked, _)| asked == action).map(|(_, body)| body.clone()).collect()
    }
}

fn serve(socket: TcpStream, state: &Mutex<State>, warehouse: u16) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let (mut head, mut length, mut action) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() <= 2 {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.starts_with("x-amz-target:") {
            action = line.trim().rsplit('.').next().unwrap().to_owned();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let signed_for = |service: &str| assert!(head.contains(&format!("/eu-central-1/{service}/aws4_request")), "{head}");
    let mut state = state.lock().unwrap();
    let (status, text) = match action.as_str() {
        // The older protocol names no target.
        "" => {
            signed_for("redshift");
            let form = String::from_utf8(body).unwrap();
            assert!(form.contains("Action=GetClusterCredentialsWithIAM") && form.contains("DbName=shop"), "{form}");
            state.asked.push(("GetClusterCredentialsWithIAM".to_owned(), json!(form)));
            (200, "<A><B><DbUser>IAMR:x</DbUser><DbPassword>p&lt;w</DbPassword></B></A>".to_owned())
        }
        "GetCredentials" => {
            signed_for("redshift-serverless");
            state.asked.push((action, serde_json::from_slice(&body).unwrap()));
            (200, json!({ "dbUser": "IAMR:x", "dbPassword": "pw", "expiration": 1.5 }).to_string())
        }
        _ => {
            signed_for("redshift-data");
            let body = serde_json::from_slice(&body).unwrap();
            let Some((status, answer)) = answer(&mut state, &action, &body, warehouse) else { return };
            (status, answer.to_string())
        }
    };
    drop(state);
    let mut socket = socket;
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    let _ = socket.write_all(format!("{head}{text}").as_bytes());
}

fn answer(state: &mut State, action: &str, body: &Value, warehouse: u16) -> Option<(u16, Value)> {
    state.asked.push((action.to_owned(), body.clone()));
    let text = body.to_string();
    let fault = state.faults.iter().position(|(of, with, _, times)| of == action && text.contains(with) && *times > 0);
    let fault = fault.map(|at| {
        state.faults[at].3 -= 1;
        state.faults[at].2
    });
    let refused =
        |code: &str| json!({ "__type": format!("com.amazonaws.redshiftdata#{code}"), "Message": "on demand" });
    match fault {
        Some(Fault::Throttled) => return Some((400, refused("ThrottlingException"))),
        Some(Fault::OutOfOrder) => return Some((500, refused("InternalServerException"))),
        _ => {}
    }
    let id = body["Id"].as_str().unwrap_or_default();
    let found = match action {
        "ExecuteStatement" | "BatchExecuteStatement" => {
            let token = body["ClientToken"].as_str().unwrap().to_owned();
            let known = state.by_token.get(&token).cloned();
            let id = known.unwrap_or_else(|| run(state, body, warehouse, fault == Some(Fault::NeverEnds)));
            state.by_token.insert(token, id.clone());
            let session = state.ended[&id]["SessionId"].clone();
            json!({ "Id": id, "SessionId": session, "CreatedAt": 1.5 })
        }
        "DescribeStatement" => state.ended[id].clone(),
        "CancelStatement" => {
            state.ended.get_mut(id).unwrap()["Status"] = json!("ABORTED");
            json!({ "Status": true })
        }
        "GetStatementResult" => result(&state.answers[id], body["NextToken"].as_str()),
        other => panic!("{other}"),
    };
    (fault != Some(Fault::ReplyLost)).then_some((200, found))
}

/// Runs what a request holds; its id.
fn run(state: &mut State, body: &Value, warehouse: u16, never: bool) -> String {
    let id = format!("{:08x}-0000-0000-0000-000000000000", state.ended.len());
    let mut told = json!({ "Id": id, "Status": "STARTED", "HasResultSet": false, "ResultRows": -1 });
    let mut own = None;
    let session = match (body["SessionId"].as_str(), body["SessionKeepAliveSeconds"].is_u64()) {
        (Some(session), _) => Some(session.to_owned()),
        (None, true) => {
            let session = format!("{id}:s");
            state.sessions.insert(session.clone(), Wire::connect(warehouse));
            Some(session)
        }
        (None, false) => None,
    };
    assert_eq!(body["SessionId"].is_string(), body["Database"].is_null(), "a session knows its database: {body}");
    told["SessionId"] = json!(session);
    if !never {
        let wire = match &session {
            Some(session) => state.sessions.get_mut(session).expect("the session is there"),
            None => own.insert(Wire::connect(warehouse)),
        };
        match body["Sqls"].as_array() {
            Some(all) => {
                assert!((1..=40).contains(&all.len()), "AWS takes 40 statements");
                batch(wire, all, &mut told);
            }
            None => match wire.run(body["Sql"].as_str().unwrap()) {
                Ok(answer) => {
                    told["Status"] = json!("FINISHED");
                    told["HasResultSet"] = json!(answer.columns.is_some());
                    told["ResultRows"] = json!(answer.touched);
                    state.answers.insert(id.clone(), answer);
                }
                Err(message) => {
                    told["Status"] = json!("FAILED");
                    told["Error"] = json!(message);
                    told["QueryString"] = body["Sql"].clone();
                }
            },
        }
    }
    state.ended.insert(id.clone(), told);
    id
}

/// As AWS does: one transaction, and those behind a failure are not run.
fn batch(wire: &mut Wire, all: &[Value], told: &mut Value) {
    let mut parts = Vec::new();
    wire.run("BEGIN").unwrap();
    let mut failed = None;
    for sql in all {
        let ran = match &failed {
            Some(_) => json!({ "Status": "ABORTED", "QueryString": sql }),
            None => match wire.run(sql.as_str().unwrap()) {
                Ok(_) => json!({ "Status": "FINISHED", "QueryString": sql }),
                Err(message) => {
                    failed = Some(message.clone());
                    json!({ "Status": "FAILED", "QueryString": sql, "Error": message })
                }
            },
        };
        parts.push(ran);
    }
    if failed.is_none() {
        failed = wire.run("COMMIT").err();
    } else {
        wire.run("ROLLBACK").unwrap();
    }
    told["SubStatements"] = json!(parts);
    told["Status"] = json!(if failed.is_some() { "FAILED" } else { "FINISHED" });
    told["Error"] = json!(failed);
}

/// A page of 500 rows.
fn result(answer: &Answer, next: Option<&str>) -> Value {
    const PAGE: usize = 500;
    let columns = answer.columns.as_ref().expect("asked for rows of a statement that has some");
    let kind = |oid: u32| match oid {
        16 => "bool",
        21 => "int2",
        23 => "int4",
        20 => "int8",
        700 => "float4",
        701 => "float8",
        1700 => "numeric",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        17 => "varbyte",
        _ => "varchar",
    };
    let field = |(cell, (_, oid)): (&Option<String>, &(String, u32))| match cell {
        None => json!({ "isNull": true }),
        Some(text) => match kind(*oid) {
            "bool" => json!({ "booleanValue": text == "t" }),
            "int2" | "int4" | "int8" => json!({ "longValue": text.parse::<i64>().unwrap() }),
            "float4" | "float8" => json!({ "doubleValue": text.parse::<f64>().unwrap() }),
            _ => json!({ "stringValue": text }),
        },
    };
    let from: usize = next.map_or(0, |next| next.parse().unwrap());
    let record = |row: &Vec<Option<String>>| row.iter().zip(columns).map(field).collect::<Vec<_>>();
    let to = (from + PAGE).min(answer.rows.len());
    let mut page = json!({
        "ColumnMetadata": columns.iter().map(|(name, oid)| json!({ "name": name, "typeName": kind(*oid) })).collect::<Vec<_>>(),
        "Records": answer.rows[from..to].iter().map(record).collect::<Vec<_>>(),
        "TotalNumRows": answer.rows.len(),
    });
    if to < answer.rows.len() {
        page["NextToken"] = json!(to.to_string());
    }
    page
}
