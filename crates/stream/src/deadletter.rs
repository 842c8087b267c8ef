//! A dead letter: a record that could not be decoded, kept as it came, with the reason.

use weir_core::name::TableName;

use crate::batch::Record;

/// Everything needed to look at the record again, or to send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// The table whose topic it came from.
    pub table: &'a TableName,
    /// The topic.
    pub topic: &'a str,
    /// The record, byte for byte.
    pub record: Record<'a>,
    /// Its headers.
    pub headers: &'a [(String, Option<Vec<u8>>)],
    /// Why it could not be decoded: constant words, never a value.
    pub reason: String,
}

impl DeadLetter<'_> {
    /// The headers as one JSON object per header, values in hexadecimal: names may come twice.
    pub fn headers_json(&self) -> String {
        let list: Vec<serde_json::Value> = self
            .headers
            .iter()
            .map(|(name, value)| serde_json::json!({ "name": name, "value": value.as_ref().map(hex::encode) }))
            .collect();
        serde_json::Value::Array(list).to_string()
    }
}

/// A record's headers, in their order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// Reads what [`DeadLetter::headers_json`] wrote.
pub fn headers_of_json(text: &str) -> Headers {
    let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let header = |header: &serde_json::Value| {
        let value = header["value"].as_str().and_then(|hex| hex::decode(hex).ok());
        Some((header["name"].as_str()?.to_owned(), value))
    };
    list.iter().filter_map(header).collect()
}
