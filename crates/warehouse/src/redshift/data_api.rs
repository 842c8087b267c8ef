//! The Redshift Data API: statements over HTTPS, signed, each waited for by asking again.
//!
//! A transaction of few statements is one batch, which is one transaction to AWS. One of more goes through a session: a
//! connection that AWS keeps between calls, with BEGIN and COMMIT of its own. Every call that runs something carries a token
//! of its own, so that AWS runs it once however often it is sent.

use std::cell::RefCell;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use uuid::Uuid;
use weir_core::failpoint;
use weir_project::{RedshiftAt, RedshiftName};
use weir_stream::aws::Service;

use super::{asked, checked, failed};
use crate::connection::{Connection, Failpoints, in_pieces};
use crate::error::WarehouseError;
use crate::outcome::{Answer, Column, Kind, Tag};
use crate::session::controls_transaction;
use crate::statement::text::{Cursor, Piece, split};

/// Statements that AWS takes in a batch.
const BATCH: usize = 40;
/// Seconds after which AWS ends a session that nobody uses, and rolls its transaction back.
const KEEP_ALIVE: u32 = 120;
/// Pauses between two looks at a statement grow from the first to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub struct DataApi {
    service: Service,
    /// Which Redshift, and its database.
    place: Map<String, Value>,
    timeout: Duration,
}

/// A connection that AWS keeps for us.
#[derive(Default)]
struct Session(RefCell<Option<String>>);

impl DataApi {
    pub fn new(at: &RedshiftAt, timeout: Duration) -> Self {
        let service = Service::new("redshift-data", &at.region, at.endpoint.as_deref());
        let (kind, name) = match &at.name {
            RedshiftName::Workgroup(name) => ("WorkgroupName", name),
            RedshiftName::Cluster(name) => ("ClusterIdentifier", name),
        };
        let place = [(kind.to_owned(), json!(name)), ("Database".to_owned(), json!(at.database))];
        Self { service, place: place.into_iter().collect(), timeout }
    }

    fn ask(&self, action: &'static str, body: &Value) -> Result<Value, WarehouseError> {
        asked(&self.service, action, || self.service.json(&format!("RedshiftData.{action}"), body))
    }

    /// Runs statements by one call, and waits for their end.
    fn run(&self, action: &'static str, mut body: Value) -> Result<Value, WarehouseError> {
        body["ClientToken"] = json!(Uuid::new_v4().to_string());
        let taken = self.ask(action, &body)?;
        let id = taken["Id"].as_str().unwrap_or_default();
        let told = self.wait(id)?;
        Ok(json!({ "Id": id, "SessionId": taken["SessionId"], "Told": told }))
    }

    /// One statement: in the session where there is one, on its own else.
    fn execute(&self, text: &str, session: Option<&Session>) -> Result<Value, WarehouseError> {
        let mut body = json!({ "Sql": text });
        let known = session.and_then(|session| session.0.borrow().clone());
        match &known {
            Some(id) => body["SessionId"] = json!(id),
            None => self.place.iter().for_each(|(name, value)| body[name] = value.clone()),
        }
        if session.is_some() {
            body["SessionKeepAliveSeconds"] = json!(KEEP_ALIVE);
        }
        let done = self.run("ExecuteStatement", body)?;
        if let (Some(session), None, Some(id)) = (session, known, done["SessionId"].as_str()) {
            *session.0.borrow_mut() = Some(id.to_owned());
        }
        Ok(done)
    }

    /// Waits until a statement or a batch has ended, and gives what is told of it.
    fn wait(&self, id: &str) -> Result<Value, WarehouseError> {
        let (began, mut pause, mut cancelled) = (Instant::now(), LOOKS.0, false);
        loop {
            let told = self.ask("DescribeStatement", &json!({ "Id": id }))?;
            let late = began.elapsed().checked_sub(self.timeout);
            match (told["Status"].as_str().unwrap_or_default(), late) {
                ("FINISHED", _) => return Ok(told),
                ("FAILED", _) => return Err(failure(&told)),
                ("ABORTED", _) if !cancelled => return Err(failure(&told)),
                ("ABORTED", _) => return Err(WarehouseError::TimedOut { after: self.timeout }),
                (_, Some(late)) if late > self.timeout.min(Duration::from_secs(30)) => {
                    return Err(WarehouseError::TimedOut { after: self.timeout });
                }
                (_, Some(_)) if !cancelled => {
                    cancelled = true;
                    if let Err(error) = self.ask("CancelStatement", &json!({ "Id": id })) {
                        tracing::warn!(%error, "a statement that takes too long could not be cancelled");
                    }
                }
                _ => {}
            }
            sleep(pause);
            pause = (pause * 3 / 2).min(LOOKS.1);
        }
    }

    /// Hands over the rows of a statement that has some; their number.
    fn rows(&self, id: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<u64, WarehouseError> {
        let (mut columns, mut count, mut next) = (None, 0, Value::Null);
        loop {
            let mut asked = json!({ "Id": id });
            if !next.is_null() {
                asked["NextToken"] = next;
            }
            let page = self.ask("GetStatementResult", &asked)?;
            let columns = columns.get_or_insert_with(|| {
                let columns: Vec<Column> = list(&page["ColumnMetadata"]).iter().map(column).collect();
                each(Answer::Columns(&columns));
                columns
            });
            for record in list(&page["Records"]) {
                count += 1;
                each(Answer::Row(
                    list(record).iter().zip(&*columns).map(|(field, column)| cell(field, column)).collect(),
                ));
            }
            next = page["NextToken"].clone();
            if next.as_str().is_none_or(str::is_empty) {
                return Ok(count);
            }
        }
    }

    /// One statement and what it gives.
    fn answer(
        &self,
        piece: &Piece,
        session: Option<&Session>,
        each: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(), WarehouseError> {
        let done = self.execute(&piece.text, session)?;
        let told = &done["Told"];
        let tag = if told["HasResultSet"] == true {
            Tag::counted("SELECT", self.rows(done["Id"].as_str().unwrap_or_default(), each)?)
        } else {
            let command = Cursor::new(piece).title();
            let counts =
                ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].into_iter().find(|word| command.starts_with(word));
            match (counts, told["ResultRows"].as_u64()) {
                (Some(word), Some(rows)) => Tag::counted(word, rows),
                _ => Tag::plain(&command),
            }
        };
        each(Answer::Done(&tag));
        Ok(())
    }

    /// Statements of a transaction one by one; what a failure leaves open is rolled back.
    fn in_session(
        &self,
        pieces: &[Piece],
        failpoints: Failpoints,
        mut run: impl FnMut(&Piece, &Session) -> Result<(), WarehouseError>,
    ) -> Result<(), WarehouseError> {
        let (session, mut at) = (Session::default(), 0);
        let done = in_pieces(pieces, failpoints, |piece| {
            at += 1;
            run(piece, &session).map_err(|error| numbered(error, at, pieces.len()))
        });
        if done.is_err() && session.0.borrow().is_some() {
            // Where this fails too, AWS does it when the session has been idle for a while.
            if let Err(error) = self.execute("ROLLBACK", Some(&session)) {
                tracing::debug!(%error, "nothing was rolled back");
            }
        }
        done
    }
}

impl Connection for DataApi {
    fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        let pieces = split(text)?;
        if let [piece] = pieces.as_slice() {
            return self.answer(piece, None, each);
        }
        if pieces.iter().any(controls_transaction) {
            return self.in_session(&pieces, NO_FAILPOINTS, |piece, session| self.answer(piece, Some(session), each));
        }
        let pieces = split(&format!("BEGIN;\n{text}\n;COMMIT"))?;
        self.in_session(&pieces, NO_FAILPOINTS, |piece, session| match controls_transaction(piece) {
            true => self.execute(&piece.text, Some(session)).map(drop),
            false => self.answer(piece, Some(session), each),
        })
    }

    fn transaction(&mut self, script: &str, failpoints: Failpoints) -> Result<(), WarehouseError> {
        let pieces = checked(script)?;
        // A batch is a transaction without saying so.
        let inner: Vec<&str> =
            pieces.iter().filter(|piece| !controls_transaction(piece)).map(|piece| &*piece.text).collect();
        if inner.len() > BATCH {
            return self
                .in_session(&pieces, failpoints, |piece, session| self.execute(&piece.text, Some(session)).map(drop));
        }
        let mut body = json!({ "Sqls": inner });
        self.place.iter().for_each(|(name, value)| body[name] = value.clone());
        failpoint::hit(failpoints.0);
        self.run("BatchExecuteStatement", body)?;
        failpoint::hit(failpoints.1);
        Ok(())
    }
}

/// For what a user sends: nothing is killed there.
const NO_FAILPOINTS: Failpoints = ("", "");

/// Why a statement, or one of a batch, failed.
fn failure(told: &Value) -> WarehouseError {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list(&told["SubStatements"]);
    let at = all.iter().position(|each| ["FAILED", "ABORTED"].contains(&text(&each["Status"]).as_str()));
    let (number, one) = match at {
        Some(at) => (Some((at + 1, all.len())), &all[at]),
        None => (None, told),
    };
    let message = [&one["Error"], &told["Error"]].map(text).into_iter().find(|message| !message.is_empty());
    failed(number, &text(&one["QueryString"]), &message.unwrap_or_else(|| "it was stopped".to_owned()))
}

fn numbered(error: WarehouseError, at: usize, of: usize) -> WarehouseError {
    match error {
        WarehouseError::Failed { line, message, .. } => {
            WarehouseError::Failed { place: format!(" {at} of {of}"), line, message }
        }
        other => other,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn column(metadata: &Value) -> Column {
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let number = |name: &str| metadata[name].as_i64().unwrap_or_default();
    let kind = match text("typeName") {
        "bool" => Kind::Bool,
        "int2" => Kind::Int2,
        "int4" => Kind::Int4,
        "int8" => Kind::Int8,
        "float4" => Kind::Float4,
        "float8" => Kind::Float8,
        "numeric" => Kind::Numeric {
            precision: u8::try_from(number("precision")).unwrap_or(38),
            scale: i8::try_from(number("scale")).unwrap_or_default(),
        },
        "date" => Kind::Date,
        "timestamp" => Kind::Timestamp,
        "timestamptz" => Kind::TimestampTz,
        "varbyte" => Kind::Bytes,
        _ => Kind::Text,
    };
    let label = if text("label").is_empty() { text("name") } else { text("label") };
    Column { name: label.to_lowercase(), kind }
}

/// A field as the wire would show it.
fn cell(field: &Value, column: &Column) -> Option<String> {
    let (kind, value) = field.as_object()?.iter().next()?;
    match (kind.as_str(), value) {
        ("isNull", _) => None,
        ("booleanValue", value) => Some(if *value == true { "t" } else { "f" }.to_owned()),
        // JSON writes a whole number of a float with a point.
        ("doubleValue", Value::Number(number)) => number.as_f64().map(|number| number.to_string()),
        (_, Value::String(text)) if column.kind == Kind::Bool => {
            Some(if text == "true" { "t" } else { "f" }.to_owned())
        }
        (_, Value::String(text)) => Some(text.clone()),
        (_, other) => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
