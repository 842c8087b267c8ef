//! Parameters of the extended protocol, as Redshift literals.

use bytes::{Buf, Bytes};
use pgwire::api::Type;
use weir_core::value::{Value, decimal_text};

use crate::error::WarehouseError;
use crate::statement::text::redshift_literal as literal;

/// A bound parameter as a literal; `kind` is what the client said it is.
pub fn as_literal(value: Option<&Bytes>, kind: Option<&Type>, binary: bool) -> Result<String, WarehouseError> {
    let Some(bytes) = value else { return Ok(null(kind)) };
    if binary { from_binary(bytes, kind) } else { from_text(bytes, kind) }
}

/// NULL of a type.
pub fn null(kind: Option<&Type>) -> String {
    kind.and_then(type_name).map_or_else(|| "NULL".to_owned(), |name| format!("CAST(NULL AS {name})"))
}

fn type_name(kind: &Type) -> Option<&'static str> {
    Some(match *kind {
        Type::BOOL => "BOOLEAN",
        Type::INT2 => "SMALLINT",
        Type::INT4 => "INTEGER",
        Type::INT8 | Type::OID => "BIGINT",
        Type::FLOAT4 => "REAL",
        Type::FLOAT8 => "DOUBLE PRECISION",
        Type::DATE => "DATE",
        Type::TIMESTAMP => "TIMESTAMP",
        Type::TIMESTAMPTZ => "TIMESTAMPTZ",
        _ => return None,
    })
}

fn from_text(bytes: &Bytes, kind: Option<&Type>) -> Result<String, WarehouseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WarehouseError::syntax("a parameter is not UTF-8"))?;
    if text.contains('\0') {
        return Err(WarehouseError::syntax("a parameter holds a zero byte"));
    }
    let number = text.strip_prefix('-').unwrap_or(text);
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match kind {
        Some(&Type::NUMERIC) if is_number => Ok(text.to_owned()),
        Some(&Type::BYTEA) => Ok(format!("TO_VARBYTE({}, 'hex')", literal(text.trim_start_matches("\\x")))),
        Some(kind) => Ok(match type_name(kind) {
            Some(name) => format!("CAST({} AS {name})", literal(text)),
            None => literal(text),
        }),
        None => Ok(literal(text)),
    }
}

fn from_binary(bytes: &Bytes, kind: Option<&Type>) -> Result<String, WarehouseError> {
    let mut data = bytes.clone();
    let wrong = || WarehouseError::syntax("a binary parameter has the wrong length");
    let fits = |length: usize| if bytes.len() == length { Ok(()) } else { Err(wrong()) };
    match kind {
        Some(&Type::BOOL) => {
            fits(1)?;
            Ok(if data.get_u8() == 0 { "false" } else { "true" }.to_owned())
        }
        Some(&Type::INT2) => {
            fits(2)?;
            Ok(format!("CAST({} AS SMALLINT)", data.get_i16()))
        }
        Some(&Type::INT4) => {
            fits(4)?;
            Ok(format!("CAST({} AS INTEGER)", data.get_i32()))
        }
        Some(&Type::OID) => {
            fits(4)?;
            Ok(format!("CAST({} AS BIGINT)", data.get_u32()))
        }
        Some(&Type::INT8) => {
            fits(8)?;
            Ok(format!("CAST({} AS BIGINT)", data.get_i64()))
        }
        Some(&Type::FLOAT4) => {
            fits(4)?;
            Ok(format!("CAST('{}' AS REAL)", data.get_f32()))
        }
        Some(&Type::FLOAT8) => {
            fits(8)?;
            Ok(format!("CAST('{}' AS DOUBLE PRECISION)", data.get_f64()))
        }
        Some(&Type::DATE) => {
            fits(4)?;
            Ok(format!("CAST('{}' AS DATE)", Value::Date(data.get_i32().saturating_add(10_957))))
        }
        Some(&Type::TIMESTAMP) => {
            fits(8)?;
            let at = Value::Timestamp(data.get_i64().saturating_add(946_684_800_000_000)).to_string();
            Ok(format!("CAST('{}' AS TIMESTAMP)", at.trim_end_matches('Z')))
        }
        Some(&Type::TIMESTAMPTZ) => {
            fits(8)?;
            let at = Value::Timestamp(data.get_i64().saturating_add(946_684_800_000_000));
            Ok(format!("CAST('{at}' AS TIMESTAMPTZ)"))
        }
        Some(&Type::BYTEA) => Ok(format!("TO_VARBYTE('{}', 'hex')", hex::encode(bytes))),
        Some(&Type::NUMERIC) => numeric(data).ok_or_else(wrong),
        Some(&Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UNKNOWN) | None => {
            from_text(bytes, None)
        }
        Some(other) => Err(WarehouseError::unsupported(format!("a binary parameter of type {other}"))),
    }
}

/// Digits in base 10000, as Postgres sends them.
fn numeric(mut data: Bytes) -> Option<String> {
    if data.len() < 8 {
        return None;
    }
    let (groups, weight, sign, scale) = (data.get_i16(), data.get_i16(), data.get_u16(), data.get_i16());
    if data.len() != usize::try_from(groups).ok()? * 2 || sign > 0x4000 {
        return None;
    }
    let mut unscaled: i128 = 0;
    for _ in 0..groups {
        unscaled = unscaled.checked_mul(10_000)?.checked_add(data.get_i16().into())?;
    }
    // The last group stands at 10000^(weight - groups + 1); the result is to have `scale` digits.
    let exponent = (i32::from(weight) - i32::from(groups) + 1) * 4 + i32::from(scale);
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let unscaled = if exponent >= 0 { unscaled.checked_mul(power)? } else { unscaled / power };
    Some(decimal_text(if sign == 0x4000 { -unscaled } else { unscaled }, i8::try_from(scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_can_never_end_its_literal() {
        let evil = Bytes::from_static(b"x'; drop table t; --");
        assert_eq!(as_literal(Some(&evil), None, false).unwrap(), "'x''; drop table t; --'");
        assert_eq!(as_literal(Some(&evil), Some(&Type::NUMERIC), false).unwrap(), "'x''; drop table t; --'");
        assert_eq!(
            as_literal(Some(&evil), Some(&Type::INT4), false).unwrap(),
            "CAST('x''; drop table t; --' AS INTEGER)"
        );
    }

    #[test]
    fn a_backslash_in_a_parameter_stays_one() {
        let text = Bytes::from_static(br"a\'b");
        assert_eq!(as_literal(Some(&text), None, false).unwrap(), r"'a\\''b'");
    }

    #[test]
    fn binary_numerics_read_back() {
        let bytes = Bytes::from_static(&[0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
        assert_eq!(as_literal(Some(&bytes), Some(&Type::NUMERIC), true).unwrap(), "12345.678");
    }
}
