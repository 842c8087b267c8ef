//! What Redshift calls output columns that have no name.

use sqlparser::ast::{Expr, JsonPathElem};

/// What Redshift calls an output column that has no name; none where the engine's choice is the same.
pub fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("sysdate") => {
            Some("sysdate".into())
        }
        Expr::Identifier(_) => None,
        // A path into SUPER is named after its last key, a column after itself.
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.to_lowercase()),
        Expr::JsonAccess { path, .. } => match path.path.last() {
            Some(JsonPathElem::Dot { key, .. }) => Some(key.to_lowercase()),
            _ => Some("?column?".into()),
        },
        Expr::Nested(inner) => column_name(inner).or_else(|| match inner.as_ref() {
            Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
            _ => None,
        }),
        Expr::Cast { expr, data_type, .. } => match expr.as_ref() {
            Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
            Expr::Value(_) => Some(data_type.to_string().to_lowercase().split('(').next().unwrap_or("?column?").into()),
            inner => column_name(inner),
        },
        Expr::Function(function) => {
            let last = function.name.0.last()?.as_ident()?.value.to_lowercase();
            Some(if last == "nvl" || last == "isnull" { "coalesce".into() } else { last })
        }
        Expr::Case { .. } | Expr::Exists { .. } => {
            Some(if matches!(expr, Expr::Case { .. }) { "case" } else { "exists" }.into())
        }
        Expr::Extract { .. } => Some("date_part".into()),
        Expr::Trim { .. } => Some("btrim".into()),
        Expr::Substring { .. } => Some("substring".into()),
        Expr::Ceil { .. } => Some("ceil".into()),
        Expr::Floor { .. } => Some("floor".into()),
        Expr::Position { .. } => Some("position".into()),
        _ => Some("?column?".into()),
    }
}
