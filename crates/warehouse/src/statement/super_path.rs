//! Paths into SUPER as the engine's JSON paths: `data.a.b[0].c` becomes `json_extract(data, '$."a"."b"[0]."c"')`.
//!
//! A path is built as an open text, to which elements are added until it is closed.

use sqlparser::ast::{Expr, JsonPathElem, Value};

use crate::error::WarehouseError;

/// How every path begins; a cast finds it again by this.
pub const EXTRACT: &str = "json_extract(";

/// An attribute.
pub fn key(name: &str) -> String {
    format!(".\"{}\"", name.replace('\'', "''").replace('"', ""))
}

/// The finished call.
pub fn close(open: String) -> String {
    format!("{open}')")
}

/// An element of an array, or an attribute by its name.
pub fn subscript(index: &Expr) -> Result<String, WarehouseError> {
    match index {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Ok(format!("[{number}]")),
            Value::SingleQuotedString(name) => Ok(key(name)),
            _ => Err(WarehouseError::unsupported("this subscript of SUPER")),
        },
        _ => Err(WarehouseError::unsupported("a computed subscript of SUPER")),
    }
}

/// Any element of a path.
pub fn element_text(element: &JsonPathElem) -> Result<String, WarehouseError> {
    match element {
        JsonPathElem::Dot { key: name, .. } => Ok(key(name)),
        JsonPathElem::Bracket { key } => subscript(key),
        JsonPathElem::ColonBracket { .. } => Err(WarehouseError::unsupported("this access path")),
    }
}
