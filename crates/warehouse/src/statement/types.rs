//! Redshift's column types and what the engine stores for them.

use crate::error::WarehouseError;

/// A column type as Redshift names it, and the engine's type for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// Redshift's name, as `\d` shows it, e.g. `character varying(50)`.
    pub redshift: String,
    /// The engine's type, e.g. `VARCHAR`.
    pub engine: String,
    /// Most bytes of a text; none for other types.
    pub bytes: Option<u32>,
    /// Whether it is SUPER.
    pub semi_structured: bool,
}

/// Reads a type as it stands in a statement.
pub fn column_type(text: &str) -> Result<ColumnType, WarehouseError> {
    let upper = text.trim().to_uppercase();
    let (head, args) = match upper.split_once('(') {
        Some((head, rest)) => {
            let (args, tail) = rest.split_once(')').unwrap_or((rest, ""));
            (format!("{} {}", head.trim(), tail.trim()).trim().to_owned(), Some(args.trim().to_owned()))
        }
        None => (upper.clone(), None),
    };
    let unsupported = || WarehouseError::unsupported(format!("type {text}"));
    let plain = |redshift: &str, engine: &str| {
        if args.is_some() {
            return Err(WarehouseError::syntax(format!("type {text} takes no argument")));
        }
        Ok(ColumnType { redshift: redshift.into(), engine: engine.into(), bytes: None, semi_structured: false })
    };
    let sized = |redshift: &str, default: u32, most: u32| {
        let bytes = match args.as_deref() {
            None => default,
            Some("MAX") => most,
            Some(n) => n.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                WarehouseError::syntax(format!("length for type {redshift} must be between 1 and {most}"))
            })?,
        };
        Ok(ColumnType {
            redshift: format!("{redshift}({bytes})"),
            engine: "VARCHAR".into(),
            bytes: Some(bytes),
            semi_structured: false,
        })
    };
    match head.as_str() {
        "SMALLINT" | "INT2" => plain("smallint", "SMALLINT"),
        "INT" | "INTEGER" | "INT4" => plain("integer", "INTEGER"),
        "BIGINT" | "INT8" => plain("bigint", "BIGINT"),
        "REAL" | "FLOAT4" => plain("real", "FLOAT"),
        "DOUBLE PRECISION" | "DOUBLE" | "FLOAT8" | "FLOAT" => plain("double precision", "DOUBLE"),
        "BOOLEAN" | "BOOL" => plain("boolean", "BOOLEAN"),
        "DATE" => plain("date", "DATE"),
        "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" | "DATETIME" => plain("timestamp without time zone", "TIMESTAMP"),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => plain("timestamp with time zone", "TIMESTAMPTZ"),
        "DECIMAL" | "NUMERIC" => {
            let args = args.as_deref().unwrap_or("18,0");
            let (precision, scale) = args.split_once(',').unwrap_or((args, "0"));
            let precision: u8 = precision.trim().parse().map_err(|_| unsupported())?;
            let scale: u8 = scale.trim().parse().map_err(|_| unsupported())?;
            if !(1..=38).contains(&precision) || scale > precision.min(37) {
                return Err(WarehouseError::syntax(format!("type {text}: precision is 1 to 38, scale at most 37")));
            }
            Ok(ColumnType {
                redshift: format!("numeric({precision},{scale})"),
                engine: format!("DECIMAL({precision},{scale})"),
                bytes: None,
                semi_structured: false,
            })
        }
        "VARCHAR" | "CHARACTER VARYING" | "NVARCHAR" => sized("character varying", 256, 65_535),
        "TEXT" => sized("character varying", 256, 256),
        "CHAR" | "CHARACTER" | "NCHAR" => sized("character", 1, 4_096),
        "BPCHAR" => sized("character", 256, 256),
        "VARBYTE" | "VARBINARY" | "BINARY VARYING" => {
            let length = match args.as_deref() {
                None => 64_000,
                Some(n) => n.parse::<u32>().ok().filter(|n| (1..=1_024_000).contains(n)).ok_or_else(unsupported)?,
            };
            Ok(ColumnType {
                redshift: format!("binary varying({length})"),
                engine: "BLOB".into(),
                bytes: None,
                semi_structured: false,
            })
        }
        "SUPER" => {
            let mut super_type = plain("super", "JSON")?;
            super_type.semi_structured = true;
            Ok(super_type)
        }
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_carry_redshift_defaults_and_not_the_engine_s() {
        let engine = |text: &str| column_type(text).unwrap().engine;
        assert_eq!(engine("decimal"), "DECIMAL(18,0)");
        assert_eq!(engine("numeric(12, 3)"), "DECIMAL(12,3)");
        assert_eq!(column_type("varchar").unwrap().bytes, Some(256));
        assert_eq!(column_type("varchar(max)").unwrap().redshift, "character varying(65535)");
        assert_eq!(engine("timestamp without time zone"), "TIMESTAMP");
        assert!(column_type("super").unwrap().semi_structured);
    }

    #[test]
    fn a_type_that_redshift_lacks_is_refused_by_name() {
        for text in ["json", "uuid", "int[]", "hugeint", "tinyint", "decimal(39,0)", "varchar(65536)", "serial"] {
            assert!(column_type(text).is_err(), "{text}");
        }
    }
}
