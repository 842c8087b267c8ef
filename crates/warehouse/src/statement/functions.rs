//! Redshift's functions: which pass as they are, which are written anew for the engine.
//!
//! A function that is not listed is refused by name: the engine's own extra functions are not Redshift's.

use sqlparser::ast::{DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::text::literal;
use crate::error::WarehouseError;

/// Functions that mean the same in both.
const SAME: &[&str] = &[
    "abs",
    "acos",
    "any_value",
    "ascii",
    "asin",
    "atan",
    "atan2",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "cbrt",
    "ceil",
    "ceiling",
    "chr",
    "coalesce",
    "cos",
    "cot",
    "count",
    "cume_dist",
    "current_date",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "greatest",
    "lag",
    "last_day",
    "last_value",
    "lead",
    "least",
    "left",
    "length",
    "ln",
    "log",
    "lower",
    "lpad",
    "ltrim",
    "max",
    "md5",
    "median",
    "min",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "pi",
    "pow",
    "power",
    "radians",
    "random",
    "rank",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "row_number",
    "rpad",
    "rtrim",
    "sign",
    "sin",
    "split_part",
    "sqrt",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "strpos",
    "substring",
    "sum",
    "tan",
    "translate",
    "trim",
    "upper",
    "var_pop",
    "var_samp",
    "variance",
];

/// Parts of a date that DATEADD, DATEDIFF and DATE_PART take, with the engine's word and their unit.
const PARTS: &[(&[&str], &str)] = &[
    (&["year", "years", "y", "yr", "yrs"], "year"),
    (&["quarter", "quarters", "qtr", "qtrs"], "quarter"),
    (&["month", "months", "mon", "mons"], "month"),
    (&["week", "weeks", "w"], "week"),
    (&["day", "days", "d"], "day"),
    (&["hour", "hours", "h", "hr", "hrs"], "hour"),
    (&["minute", "minutes", "m", "min", "mins"], "minute"),
    (&["second", "seconds", "s", "sec", "secs"], "second"),
    (&["millisecond", "milliseconds", "ms", "msec", "msecs"], "millisecond"),
    (&["microsecond", "microseconds", "us", "usec", "usecs"], "microsecond"),
];

/// Parts that only DATE_PART and EXTRACT take.
const EXTRACT_PARTS: &[(&[&str], &str)] = &[
    (&["epoch"], "epoch"),
    (&["dow", "dayofweek", "weekday"], "dow"),
    (&["doy", "dayofyear", "yearday"], "doy"),
    (&["century", "c"], "century"),
    (&["decade"], "decade"),
];

fn part(text: &str, extract: bool) -> Option<&'static str> {
    let text = text.trim_matches(['\'', '"']).to_lowercase();
    let more = if extract { EXTRACT_PARTS } else { &[] };
    PARTS.iter().chain(more).find(|(names, _)| names.contains(&text.as_str())).map(|(_, word)| *word)
}

/// The engine's text for a function call whose arguments are already the engine's.
///
/// `declared`: whether the name is a Lambda function made by CREATE EXTERNAL FUNCTION.
pub fn rewrite(function: &Function, declared: bool) -> Result<Option<String>, WarehouseError> {
    let full = function.name.to_string().replace('"', "").to_lowercase();
    let name = full.strip_prefix("pg_catalog.").unwrap_or(&full);
    if declared {
        return Ok(Some(format!("weir_{name}({})", arguments(function)?.join(", "))));
    }
    if SAME.contains(&name) {
        return Ok(None);
    }
    let args = arguments(function)?;
    let call = Call { name, args: &args };
    let text = match name {
        "getdate" | "sysdate" => {
            call.count(0)?;
            "CAST(now() AS TIMESTAMP)".to_owned()
        }
        "current_timestamp" | "now" => {
            return Err(WarehouseError::unsupported(format!("function {name} (use GETDATE())")));
        }
        "version" => "'PostgreSQL 8.0.2 on Weir, a double of Amazon Redshift'".to_owned(),
        "current_user" | "user" | "session_user" | "current_user_id" => "'weir'".to_owned(),
        "current_database" => "'dev'".to_owned(),
        "current_schema" => "'public'".to_owned(),
        "pg_backend_pid" => "1".to_owned(),
        "nvl" => format!("coalesce({})", args.join(", ")),
        "isnull" => {
            call.count(2)?;
            format!("coalesce({}, {})", args[0], args[1])
        }
        "nvl2" => {
            call.count(3)?;
            format!("(CASE WHEN ({}) IS NOT NULL THEN {} ELSE {} END)", args[0], args[1], args[2])
        }
        "decode" => decode(&call)?,
        "iff" | "if" => return Err(call.unknown()),
        "dateadd" | "date_add" => {
            call.count(3)?;
            let unit = call.part(0, false)?;
            match unit {
                // Redshift keeps the type of a date only for whole days; weeks and more make a timestamp.
                "quarter" => format!("(CAST({} AS TIMESTAMP) + 3 * ({}) * INTERVAL 1 month)", args[2], args[1]),
                _ => format!("(CAST({} AS TIMESTAMP) + ({}) * INTERVAL 1 {unit})", args[2], args[1]),
            }
        }
        "datediff" | "date_diff" => {
            call.count(3)?;
            let unit = call.part(0, false)?;
            format!("date_diff('{unit}', CAST({} AS TIMESTAMP), CAST({} AS TIMESTAMP))", args[1], args[2])
        }
        "date_part" | "pgdate_part" => {
            call.count(2)?;
            format!("date_part('{}', CAST({} AS TIMESTAMP))", call.part(0, true)?, args[1])
        }
        "date_trunc" => {
            call.count(2)?;
            format!("CAST(date_trunc('{}', CAST({} AS TIMESTAMP)) AS TIMESTAMP)", call.part(0, false)?, args[1])
        }
        "add_months" => {
            call.count(2)?;
            format!("weir_sql.add_months({}, {})", args[0], args[1])
        }
        "months_between" | "next_day" | "timeofday" | "interval_cmp" => {
            return Err(WarehouseError::unsupported(format!("function {name}")));
        }
        "trunc" => match args.as_slice() {
            [value] => format!("weir_sql.trunc_any({value})"),
            [value, digits] => format!("weir_sql.trunc_to({value}, {digits})"),
            _ => return Err(call.arity()),
        },
        "mod" => {
            call.count(2)?;
            format!("(({}) % weir_sql.nz({}))", args[0], args[1])
        }
        "concat" => {
            call.count(2)?;
            format!("(({}) || ({}))", args[0], args[1])
        }
        "len" | "char_length" | "character_length" | "textlen" => {
            call.count(1)?;
            format!("length({})", args[0])
        }
        "octet_length" => {
            call.count(1)?;
            format!("weir_sql.octets({})", args[0])
        }
        "substr" => format!("substring({})", args.join(", ")),
        "btrim" => format!("trim({})", args.join(", ")),
        "charindex" => {
            call.count(2)?;
            format!("strpos({}, {})", args[1], args[0])
        }
        "initcap" => {
            call.count(1)?;
            format!("weir_sql.initcap({})", args[0])
        }
        "strtol" => {
            call.count(2)?;
            if args[1].trim() != "16" {
                return Err(WarehouseError::unsupported("function strtol with a base other than 16"));
            }
            format!("CAST('0x' || ({}) AS BIGINT)", args[0])
        }
        "sha" | "sha1" | "func_sha1" => {
            call.count(1)?;
            format!("sha1({})", args[0])
        }
        "sha2" => {
            call.count(2)?;
            if args[1].trim() != "256" {
                return Err(WarehouseError::unsupported("function sha2 with bits other than 256"));
            }
            format!("sha256({})", args[0])
        }
        "regexp_substr" => {
            call.count(2)?;
            format!("coalesce(regexp_extract({}, {}), '')", args[0], args[1])
        }
        "regexp_replace" => match args.as_slice() {
            [text, pattern] => format!("regexp_replace({text}, {pattern}, '', 'g')"),
            [text, pattern, with] => format!("regexp_replace({text}, {pattern}, {with}, 'g')"),
            _ => return Err(call.arity()),
        },
        "regexp_count" => {
            call.count(2)?;
            format!("len(regexp_extract_all({}, {}))", args[0], args[1])
        }
        "to_char" => {
            call.count(2)?;
            to_char(&args[0], &args[1])?
        }
        "to_date" => {
            call.count(2)?;
            format!("CAST(strptime({}, {}) AS DATE)", args[0], time_pattern(&args[1])?)
        }
        "to_timestamp" => {
            call.count(2)?;
            format!("CAST(strptime({}, {}) AS TIMESTAMPTZ)", args[0], time_pattern(&args[1])?)
        }
        "convert_timezone" => match args.as_slice() {
            [to, at] => format!("timezone({to}, timezone('UTC', CAST({at} AS TIMESTAMP)))"),
            [from, to, at] => format!("timezone({to}, timezone({from}, CAST({at} AS TIMESTAMP)))"),
            _ => return Err(call.arity()),
        },
        "listagg" => listagg(function, &args)?,
        "json_parse" => {
            call.count(1)?;
            format!("CAST(({}) AS JSON)", args[0])
        }
        "can_json_parse" | "is_valid_json" => {
            call.count(1)?;
            format!("coalesce(json_valid({}), false)", args[0])
        }
        "json_serialize" => {
            call.count(1)?;
            format!("CAST({} AS VARCHAR)", args[0])
        }
        "json_typeof" => {
            call.count(1)?;
            format!("weir_sql.super_type({})", args[0])
        }
        "json_extract_path_text" => {
            if args.len() < 2 {
                return Err(call.arity());
            }
            let keys = args[1..].iter().map(|key| format!("'.\"' || ({key}) || '\"'"));
            let path = keys.collect::<Vec<_>>().join(" || ");
            // A missing key gives an empty text, a NULL document NULL.
            format!(
                "(CASE WHEN ({0}) IS NOT NULL THEN coalesce(json_extract_string({0}, '$' || {path}), '') END)",
                args[0]
            )
        }
        "json_extract_array_element_text" => {
            call.count(2)?;
            format!("json_extract_string({}, '$[' || ({}) || ']')", args[0], args[1])
        }
        "json_array_length" | "get_array_length" => {
            call.count(1)?;
            format!("json_array_length({})", args[0])
        }
        "from_varbyte" => {
            call.count(2)?;
            match args[1].trim_matches('\'').to_lowercase().as_str() {
                "hex" => format!("lower(hex({}))", args[0]),
                "base64" => format!("base64({})", args[0]),
                "utf8" | "utf-8" => format!("decode({})", args[0]),
                other => return Err(WarehouseError::unsupported(format!("function from_varbyte with format {other}"))),
            }
        }
        "to_varbyte" => {
            call.count(2)?;
            match args[1].trim_matches('\'').to_lowercase().as_str() {
                "hex" => format!("unhex({})", args[0]),
                "base64" => format!("from_base64({})", args[0]),
                "utf8" | "utf-8" => format!("encode({})", args[0]),
                other => return Err(WarehouseError::unsupported(format!("function to_varbyte with format {other}"))),
            }
        }
        "to_hex" => {
            call.count(1)?;
            format!("lower(to_hex({}))", args[0])
        }
        _ => return Err(call.unknown()),
    };
    if function.over.is_some() && name != "listagg" {
        return Err(WarehouseError::unsupported(format!("function {name} as a window function")));
    }
    Ok(Some(text))
}

struct Call<'a> {
    name: &'a str,
    args: &'a [String],
}

impl Call<'_> {
    fn count(&self, wanted: usize) -> Result<(), WarehouseError> {
        if self.args.len() == wanted { Ok(()) } else { Err(self.arity()) }
    }

    fn arity(&self) -> WarehouseError {
        WarehouseError::UnknownFunction { name: format!("{} with {} arguments", self.name, self.args.len()) }
    }

    fn unknown(&self) -> WarehouseError {
        WarehouseError::UnknownFunction { name: self.name.to_owned() }
    }

    fn part(&self, at: usize, extract: bool) -> Result<&'static str, WarehouseError> {
        part(&self.args[at], extract).ok_or_else(|| {
            WarehouseError::unsupported(format!("date part {} in function {}", self.args[at], self.name))
        })
    }
}

/// Arguments as texts; names and `*` are refused except in COUNT, which never comes here.
fn arguments(function: &Function) -> Result<Vec<String>, WarehouseError> {
    if function.filter.is_some() || function.null_treatment.is_some() {
        return Err(WarehouseError::unsupported(format!("FILTER or IGNORE NULLS in function {}", function.name)));
    }
    match &function.args {
        FunctionArguments::None => Ok(Vec::new()),
        FunctionArguments::Subquery(_) => {
            Err(WarehouseError::unsupported(format!("a subquery as the argument of {}", function.name)))
        }
        FunctionArguments::List(list) => {
            let text = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.to_string()),
                _ => Err(WarehouseError::unsupported(format!("this argument of {}", function.name))),
            };
            list.args.iter().map(text).collect()
        }
    }
}

/// DECODE compares NULLs as equal, unlike CASE.
fn decode(call: &Call<'_>) -> Result<String, WarehouseError> {
    let [value, pairs @ ..] = call.args else { return Err(call.arity()) };
    if pairs.len() < 2 {
        return Err(call.arity());
    }
    let mut text = "(CASE".to_owned();
    for pair in pairs.chunks(2) {
        match pair {
            [search, result] => {
                text.push_str(&format!(" WHEN ({value}) IS NOT DISTINCT FROM ({search}) THEN {result}"))
            }
            [default] => text.push_str(&format!(" ELSE {default}")),
            _ => {}
        }
    }
    text.push_str(" END)");
    Ok(text)
}

fn listagg(function: &Function, args: &[String]) -> Result<String, WarehouseError> {
    let (value, separator) = match args {
        [value] => (value, "''"),
        [value, separator] => (value, separator.as_str()),
        _ => return Err(WarehouseError::UnknownFunction { name: format!("listagg with {} arguments", args.len()) }),
    };
    let distinct = match &function.args {
        FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) => "DISTINCT ",
        _ => "",
    };
    let order = if function.within_group.is_empty() {
        String::new()
    } else {
        let keys: Vec<_> = function.within_group.iter().map(ToString::to_string).collect();
        format!(" ORDER BY {}", keys.join(", "))
    };
    let over = function.over.as_ref().map(|over| format!(" OVER {over}")).unwrap_or_default();
    Ok(format!("string_agg({distinct}CAST({value} AS VARCHAR), {separator}{order}){over}"))
}

/// Patterns of TO_CHAR, TO_DATE and TO_TIMESTAMP, longest first, with the engine's.
const PATTERNS: &[(&str, &str)] = &[
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("YYYY", "%Y"),
    ("Month", "%B"),
    ("DDD", "%j"),
    ("Day", "%A"),
    ("Mon", "%b"),
    ("Dy", "%a"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%g"),
    ("US", "%f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("IW", "%V"),
];

fn time_pattern(pattern: &str) -> Result<String, WarehouseError> {
    let Some(mut rest) = pattern.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')) else {
        return Err(WarehouseError::unsupported("a date pattern that is no literal"));
    };
    let mut out = String::new();
    'next: while let Some(first) = rest.chars().next() {
        for (theirs, ours) in PATTERNS {
            let upper_only = theirs.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
            let head = rest.get(..theirs.len());
            let fits =
                head.is_some_and(|head| if upper_only { head.eq_ignore_ascii_case(theirs) } else { head == *theirs });
            if fits {
                out.push_str(ours);
                rest = &rest[theirs.len()..];
                continue 'next;
            }
        }
        if first.is_ascii_alphabetic() && first != 'T' && first != 'Z' {
            return Err(WarehouseError::unsupported(format!("date pattern {pattern}")));
        }
        out.push_str(if first == '%' { "%%" } else { &rest[..first.len_utf8()] });
        rest = &rest[first.len_utf8()..];
    }
    Ok(literal(&out))
}

fn to_char(value: &str, pattern: &str) -> Result<String, WarehouseError> {
    let digits_only = pattern.trim_matches('\'').chars().all(|c| "90.,FMGDS".contains(c));
    if digits_only {
        return Err(WarehouseError::unsupported(format!("function to_char with the number pattern {pattern}")));
    }
    Ok(format!("strftime(CAST({value} AS TIMESTAMP), {})", time_pattern(pattern)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_patterns_become_the_engine_s_and_unknown_letters_are_refused() {
        assert_eq!(time_pattern("'YYYY-MM-DD HH24:MI:SS'").unwrap(), "'%Y-%m-%d %H:%M:%S'");
        assert_eq!(time_pattern("'Mon DD, YYYY'").unwrap(), "'%b %d, %Y'");
        assert!(time_pattern("'J'").is_err());
    }
}
