//! What all generated scripts share: quoted names, Redshift's types for source columns, placeholders.

use weir_core::column::ColumnType;

use crate::error::WarehouseError;
use crate::lint::reserved::is_reserved;
use crate::statement::text::quoted;

/// The values of the four placeholders of a script, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholders {
    /// `${lake}`: the lake's root, a URL or an absolute path without a final slash.
    pub lake: String,
    /// `${iam_role}`: `default` or an ARN; quotes are added to an ARN.
    pub iam_role: String,
    /// `${brokers}`: `host:port,host:port`.
    pub brokers: String,
    /// `${auth}`: `none` or `iam`.
    pub auth: String,
}

/// Replaces the placeholders of a script. Any other `${..}` is an error.
pub fn substitute(script: &str, values: &Placeholders) -> Result<String, WarehouseError> {
    let mut out = String::with_capacity(script.len());
    let mut rest = script;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            return Err(WarehouseError::Placeholder { name: after.chars().take(20).collect() });
        };
        out.push_str(before);
        match name {
            "lake" => out.push_str(&escaped(&values.lake)),
            "iam_role" if values.iam_role == "default" => out.push_str("default"),
            "iam_role" => out.push_str(&crate::statement::text::redshift_literal(&values.iam_role)),
            "brokers" => out.push_str(&escaped(&values.brokers)),
            "auth" => out.push_str(&values.auth),
            other => return Err(WarehouseError::Placeholder { name: other.to_owned() }),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between the quotes of a literal.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''")
}

/// Redshift's type for a source column. Text is counted in bytes there: three per UTF-16 unit hold any text.
pub fn redshift_type(kind: ColumnType) -> String {
    match kind {
        ColumnType::Bit => "BOOLEAN".into(),
        ColumnType::TinyInt | ColumnType::SmallInt => "SMALLINT".into(),
        ColumnType::Int => "INTEGER".into(),
        ColumnType::BigInt => "BIGINT".into(),
        ColumnType::Real => "REAL".into(),
        ColumnType::Float => "DOUBLE PRECISION".into(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ColumnType::Text { length } => {
            format!("VARCHAR({})", length.map_or(65_535, |length| (u32::from(length) * 3).min(65_535)))
        }
        ColumnType::Date => "DATE".into(),
        ColumnType::DateTime2 { .. } => "TIMESTAMP".into(),
        ColumnType::DateTimeOffset => "TIMESTAMPTZ".into(),
        ColumnType::UniqueIdentifier => "VARCHAR(36)".into(),
        ColumnType::VarBinary { length } => format!("VARBYTE({})", length.map_or(1_024_000, u32::from)),
    }
}

/// `schema.name`, the name quoted only if it must be: Redshift's own manual quotes reserved words only.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{schema}.{}", ident(name))
}

/// A name, quoted if it is a reserved word: of Redshift, or of the parser that reads it here.
pub fn ident(name: &str) -> String {
    use sqlparser::keywords::ALL_KEYWORDS;
    let reserved = is_reserved(name) || ALL_KEYWORDS.binary_search(&name.to_uppercase().as_str()).is_ok();
    if reserved { quoted(name) } else { name.to_owned() }
}

/// Names with commas between.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(ident).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_placeholders_are_replaced() {
        let values = Placeholders {
            lake: "s3://b/p".into(),
            iam_role: "arn:aws:iam::1:role/r".into(),
            brokers: "b:9098".into(),
            auth: "iam".into(),
        };
        let text = "COPY t FROM '${lake}/m' IAM_ROLE ${iam_role}; URI '${brokers}' AUTHENTICATION ${auth}";
        assert_eq!(
            substitute(text, &values).unwrap(),
            "COPY t FROM 's3://b/p/m' IAM_ROLE 'arn:aws:iam::1:role/r'; URI 'b:9098' AUTHENTICATION iam"
        );
        assert!(substitute("${env:HOME}", &values).is_err());
        assert!(substitute("${lake", &values).is_err());
    }

    #[test]
    fn a_reserved_word_is_quoted() {
        assert_eq!(qualified("staging", "order"), "staging.\"order\"");
        // Redshift's alone.
        assert_eq!(ident("offline"), "\"offline\"");
        assert_eq!(qualified("staging", "customer"), "staging.customer");
    }
}
