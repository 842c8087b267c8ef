//! Files by hand: what they become, and what is refused.

use std::fs;

use weir_core::ledger::RecordKind;

use super::*;
use crate::source::Source;
use crate::testing::table;

fn tables() -> Vec<Table> {
    vec![
        table(
            "shipment",
            &[("depot", "nvarchar(8)", false), ("number", "bigint", false), ("weight", "decimal(9,3)", true)],
            &["depot", "number"],
        ),
        table("depot", &[("depot", "nvarchar(8)", false)], &["depot"]),
    ]
}

fn open(text: &str) -> Result<Events, SourceError> {
    let dir = tempfile::tempdir().unwrap().keep();
    let path = dir.join("events.jsonl");
    fs::write(&path, text).unwrap();
    Events::open(&path, &tables())
}

const INSERT: &str =
    r#"{"table":"shipment","op":"c","after":{"depot":"N","number":1,"weight":"1.5"},"time":"2024-01-01T00:00:00Z"}"#;

#[test]
fn lines_become_changes_with_positions_of_their_line_numbers() {
    let update = r#"{"table":"shipment","op":"u","before":{"depot":"N","number":1,"weight":"1.5"},"after":{"depot":"N","number":1},"time":"2024-01-01T01:00:00Z"}"#;
    let moved = r#"{"table":"shipment","op":"u","before":{"depot":"N","number":1},"after":{"depot":"S","number":1},"time":"2024-01-01T02:00:00Z"}"#;
    let delete = r#"{"table":"shipment","op":"d","before":{"depot":"S","number":1},"after":null,"time":"2024-01-01T03:00:00+01:00"}"#;
    let truncation = r#"{"table":"shipment","op":"t","time":"2024-01-01T04:00:00Z"}"#;
    let source = Source::Events(open(&format!("{INSERT}\n\n{update}\n{moved}\n{delete}\n{truncation}")).unwrap());
    let tables = tables();
    let told: Vec<_> = source
        .ledger(&tables, 2)
        .map(|record| match record.unwrap().kind {
            RecordKind::Change(change) if change.key.is_empty() => format!("{} {:?}", change.op, change.row),
            RecordKind::Change(change) => format!("{} {}{}", change.op, change.key[0], change.key[1]),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["c N1", "u N1", "d N1", "Tombstone", "c S1", "d S1", "Tombstone", "t None"]);
    let positions: Vec<_> = source
        .records(2)
        .filter_map(|record| match record.unwrap().payload {
            Payload::Change(event) => Some(event.position),
            _ => None,
        })
        .collect();
    assert!(positions.is_sorted());
    assert_eq!(positions[2], positions[3], "both halves of a key change share a position");
    assert_eq!(positions[0], position::of_change(1, 1, 1, Op::Create));
    assert_eq!(positions[1], position::of_change(3, 3, 1, Op::Update));
}

#[test]
fn a_bad_line_is_refused_by_number_before_anything_is_given() {
    for (bad, wanted) in [
        ("{", "is no event"),
        (r#"{"table":"shipment","op":"c","after":{},"time":"2024-01-01T00:00:00Z","x":1}"#, "is no event"),
        (
            r#"{"table":"depot","op":"c","after":{"depot":"N","depot":"S"},"time":"2024-01-01T00:00:00Z"}"#,
            "is no event",
        ),
        (
            r#"{"table":"depots","op":"c","after":{},"time":"2024-01-01T00:00:00Z"}"#,
            "the project has no table `depots`; it has shipment, depot",
        ),
        (
            r#"{"table":"depot","op":"x","after":{},"time":"2024-01-01T00:00:00Z"}"#,
            "an event with op `x` is none of c, u, d, r, t",
        ),
        (
            r#"{"table":"depot","op":"t","before":{"depot":"N"},"time":"2024-01-01T00:00:00Z"}"#,
            "an event with op `t` must not have a row",
        ),
        (
            r#"{"table":"depot","op":"d","after":{"depot":"N"},"time":"2024-01-01T00:00:00Z"}"#,
            "an event with op `d` needs `before`",
        ),
        (
            r#"{"table":"depot","op":"c","before":{"depot":"N"},"after":{"depot":"N"},"time":"2024-01-01T00:00:00Z"}"#,
            "an event with op `c` must not have `before`",
        ),
        (
            r#"{"table":"depot","op":"u","before":{"depot":"N"},"time":"2024-01-01T00:00:00Z"}"#,
            "an event with op `u` needs `after`",
        ),
        (
            r#"{"table":"depot","op":"c","after":{"name":"N"},"time":"2024-01-01T00:00:00Z"}"#,
            "`name` is no column of `depot`; it has depot",
        ),
        (
            r#"{"table":"depot","op":"c","after":{},"time":"2024-01-01T00:00:00Z"}"#,
            "`depot` must have a value in `depot`",
        ),
        (r#"{"table":"depot","op":"c","after":{"depot":7},"time":"2024-01-01T00:00:00Z"}"#, "`depot` is no string"),
        (
            r#"{"table":"depot","op":"c","after":{"depot":"N"},"time":"yesterday"}"#,
            "`time` is no time of the form 2024-01-02T03:04:05.678Z with at most 6 digits of a second",
        ),
    ] {
        let error = open(&format!("{INSERT}\n{bad}\n")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("line 2 of ") && text.ends_with(wanted), "{bad}: {text}");
        assert!(error.is_bad_input());
    }
}

#[test]
fn a_file_that_changes_between_check_and_replay_ends_with_an_error() {
    let events = open(&format!("{INSERT}\n")).unwrap();
    fs::write(&events.path, format!("{INSERT}\n{INSERT}\n")).unwrap();
    let items: Vec<_> = events.records(1).collect();
    assert_eq!(items.len(), 3);
    assert!(matches!(items[2], Err(SourceError::Changed { .. })));
}
