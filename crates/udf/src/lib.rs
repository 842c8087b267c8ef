//! Udf: the Lambda function behind `f_cdc_avro_to_json`, by which Redshift has Avro decoded.
//!
//! In: a batch of values in hexadecimal, as Redshift sends them; a registry that knows their schemas.
//! Out: as many JSON texts in the same order, as the warehouse's double makes them; NULL for a value that cannot be decoded,
//! which is counted. A registry that does not answer fails the whole call, and so the statement: the values may be good.
//! Never: a state that changes an answer, a value in a log.
//!
//! Read first: [`Function::answer`]; the program `bootstrap` puts Lambda's loop around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Map;
use weir_core::diagnosis::Diagnose;
use weir_core::emf::{self, Point};
use weir_core::schema_id::SchemaId;
use weir_envelope::Texts;
use weir_project::{SecretText, Vault};
use weir_stream::{AwsVault, Registry, StreamError};

/// Bytes that Lambda takes as an answer.
pub const MOST_BYTES: usize = 6_291_556;
/// Bytes that a `varchar(max)` holds, as which Redshift takes a text.
pub const LONGEST: usize = 65_535;

/// A call, as Redshift makes it. What else it tells (user, database, query) changes nothing.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Rows of the batch.
    pub num_records: usize,
    /// The arguments of each row; none where Redshift knows that the row gives NULL.
    pub arguments: Vec<Option<Vec<Option<String>>>>,
}

/// What Redshift is told: either all results, or why there are none.
#[derive(Serialize)]
struct Response<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_msg: Option<&'a str>,
    num_records: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a [Option<String>]>,
}

/// The answer to a call, and what is to be told of it elsewhere.
#[derive(Debug)]
pub struct Answer {
    /// The response as a text; Lambda is given it as a JSON string, as AWS's samples do.
    pub text: String,
    rows: usize,
    /// Rows that gave NULL though they hold a value, by reason.
    undecoded: BTreeMap<&'static str, u64>,
    /// Why the whole call failed.
    failed: Option<String>,
    took: Duration,
}

/// The function with what it keeps from call to call: the registry's schemas.
pub struct Function {
    registry: Registry,
    texts: Texts,
}

impl Function {
    /// With this registry; nothing is asked yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, texts: Texts::default() }
    }

    /// With the registry that a setting names: `glue` or `glue:NAME`, in this region, or the URL of one with Confluent's API,
    /// in which references may stand.
    pub fn of_setting(registry: &str, region: &str) -> Self {
        if registry.split(':').next() == Some("glue") {
            return Self::new(Registry::glue(region, None));
        }
        let vault: Arc<dyn Vault> = Arc::new(AwsVault::of_process());
        Self::new(Registry::secret(SecretText::plain(registry).within(&vault)))
    }

    /// Decodes a batch.
    pub fn answer(&self, request: &Request) -> Answer {
        let began = Instant::now();
        let mut undecoded = BTreeMap::new();
        let decoded = if request.num_records == request.arguments.len() {
            self.decode(request, &mut undecoded)
        } else {
            Err(format!("{} rows are announced and {} sent", request.num_records, request.arguments.len()))
        };
        let whole = decoded.and_then(|results| {
            let text = response(request, Ok(&results));
            // Lambda counts the text as the JSON string that it becomes.
            let bytes = serde_json::to_string(&text).map_or(usize::MAX, |string| string.len());
            if bytes <= MOST_BYTES {
                return Ok(text);
            }
            Err(format!(
                "{} rows make an answer of {bytes} bytes and Lambda takes {MOST_BYTES}: the function's MAX_BATCH_ROWS is too high",
                results.len()
            ))
        });
        let (text, failed) = match whole {
            Ok(text) => (text, None),
            Err(reason) => (response(request, Err(&reason)), Some(reason)),
        };
        Answer { text, rows: request.arguments.len(), undecoded, failed, took: began.elapsed() }
    }

    /// The text of each row, or why there is none of any row.
    fn decode(
        &self,
        request: &Request,
        undecoded: &mut BTreeMap<&'static str, u64>,
    ) -> Result<Vec<Option<String>>, String> {
        // An id that the registry does not know is asked for once a call, not once a row.
        let mut unknown = BTreeSet::new();
        let mut bytes = Vec::new();
        let mut results = Vec::with_capacity(request.arguments.len());
        for row in &request.arguments {
            let Some(Some(digits)) = row.as_ref().and_then(|row| row.first()) else {
                results.push(None);
                continue;
            };
            bytes.clear();
            bytes.resize(digits.len() / 2, 0);
            let text = match hex::decode_to_slice(digits, &mut bytes) {
                Err(_) => Err("not_hexadecimal"),
                Ok(()) => match self.texts.json(&bytes, |id| self.find(id, &mut unknown)) {
                    Err(outage) => return Err(said(&outage)),
                    Ok(Err(reject)) => Err(reject.reason()),
                    Ok(Ok(text)) if text.len() > LONGEST => Err("too_long"),
                    Ok(Ok(text)) => Ok(text),
                },
            };
            if let Err(reason) = text {
                *undecoded.entry(reason).or_default() += 1;
            }
            results.push(text.ok());
        }
        Ok(results)
    }

    fn find(&self, id: SchemaId, unknown: &mut BTreeSet<SchemaId>) -> Result<Option<Arc<str>>, StreamError> {
        if unknown.contains(&id) {
            return Ok(None);
        }
        let found = self.registry.find(id)?;
        if found.is_none() {
            unknown.insert(id);
        }
        Ok(found)
    }
}

impl Answer {
    /// The line that the log gets: metrics, and the reasons beside them. `at` is in milliseconds since 1970 UTC.
    pub fn line(&self, at: i64, environment: &str) -> String {
        let points = [
            Point::count("weir_udf_rows", self.rows as u64),
            Point::count("weir_udf_undecoded_rows", self.undecoded.values().sum()),
            Point::count("weir_udf_failed_calls", u64::from(self.failed.is_some())),
            Point::seconds("weir_udf_call_seconds", self.took.as_secs_f64()),
        ];
        let mut beside = Map::new();
        if !self.undecoded.is_empty() {
            let reasons = self.undecoded.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into()));
            beside.insert("undecoded".to_owned(), reasons.collect::<Map<_, _>>().into());
        }
        if let Some(reason) = &self.failed {
            beside.insert("error".to_owned(), reason.as_str().into());
        }
        emf::line(at, &[(emf::ENVIRONMENT, environment)], &points, beside)
    }
}

/// An error as a person reads it, with its code.
fn said(error: &StreamError) -> String {
    format!("error[{}]: {error}", error.diagnosis().code)
}

fn response(request: &Request, results: Result<&[Option<String>], &str>) -> String {
    let (results, error_msg) = (results.ok(), results.err());
    let response = Response { success: results.is_some(), error_msg, num_records: request.num_records, results };
    serde_json::to_string(&response).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests;
