//! Small files by hand, broken files, and the real one where it is.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use weir_core::change::{Change, Op};
use weir_core::ledger::RecordKind;
use weir_core::value::Value;

use super::*;
use crate::source::Source;
use crate::testing::retail;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn open(bytes: &[u8]) -> Result<OnlineRetail, SourceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    fs::write(&path, bytes).unwrap();
    OnlineRetail::open(&path, &retail())
}

fn changes(lines: &str) -> Vec<Change> {
    let source = Source::OnlineRetail(open(&gzipped(&format!("{HEADER}{lines}"))).unwrap());
    let tables = retail();
    source
        .ledger(&tables, 3)
        .map(|record| match record.unwrap().kind {
            RecordKind::Change(change) => change,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// `table op key` per change.
fn told(changes: &[Change]) -> Vec<String> {
    let key = |change: &Change| change.key.iter().map(Value::to_string).collect::<Vec<_>>().join("/");
    changes.iter().map(|change| format!("{} {} {}", change.table, change.op, key(change))).collect()
}

#[test]
fn a_line_inserts_what_is_new_and_updates_what_changed() {
    let changes = changes(
        "1,A,LAMP,2,2010-12-01 08:00:00,1.5,7.0,France\n\
         1,A,LAMP,1,2010-12-01 08:00:00,1.5,7.0,France\n\
         C2,A,,-1,2010-12-01 09:00:00,0.0,7.0,Spain\n\
         3,A,LAMP ,1,2010-12-01 10:00:00,1.501,,Spain\n",
    );
    assert_eq!(
        told(&changes),
        [
            "customer c 7",
            "product c A",
            "order c 1",
            "order_item c 1/1",
            "order_item c 1/2",
            // An empty description and a price of 0 erase nothing.
            "customer u 7",
            "order c C2",
            "order_item c C2/1",
            "product u A",
            "order c 3",
            "order_item c 3/1",
        ]
    );
    let row = |at: usize| changes[at].row.clone().unwrap();
    assert_eq!(row(8)[1], Value::Text("LAMP ".to_owned()));
    assert_eq!(row(8)[3], Value::Decimal(1501, 3));
    assert_eq!((row(6)[2].clone(), row(6)[4].clone()), (Value::Text("cancelled".to_owned()), Value::Bool(true)));
    assert_eq!((row(9)[1].clone(), row(9)[2].clone()), (Value::Null, Value::Text("placed".to_owned())));
    assert_eq!(changes[0].source_ts, 1_291_190_400_000_000);
    assert!(
        changes.windows(2).all(|pair| pair[0].order_key < pair[1].order_key || pair[0].source_ts < pair[1].source_ts)
    );
}

#[test]
fn a_transaction_is_a_run_of_lines_of_one_invoice_and_time() {
    let source = open(
        format!(
            "{HEADER}1,A,x,1,2010-12-01 08:00:00,1.0,,UK\n1,B,x,1,2010-12-01 08:00:00,1.0,,UK\n\
             1,C,x,1,2010-12-01 08:01:00,1.0,,UK\n2,A,x,1,2010-12-01 08:01:00,1.0,,UK\n"
        )
        .as_bytes(),
    )
    .unwrap();
    let mut commits: Vec<_> = source
        .records(1)
        .filter_map(|record| match record.unwrap().payload {
            crate::record::Payload::Change(event) => Some((event.position.commit_lsn, event.position.change_lsn)),
            _ => None,
        })
        .collect();
    assert!(commits.iter().all(|(commit, change)| change.is_some_and(|change| change < *commit)));
    commits.dedup_by_key(|(commit, _)| *commit);
    assert_eq!(commits.len(), 3);
    assert!(commits.is_sorted());
}

#[test]
fn lines_go_by_time_and_keep_their_number_in_the_file() {
    let changes = changes(
        "1,A,x,1,2010-12-01 09:00:00,1.0,,UK\n1,B,x,1,2010-12-01 08:00:00,1.0,,UK\n2,A,x,1,2010-12-01 08:30:00,1.0,,UK\n",
    );
    let items: Vec<_> = told(&changes).into_iter().filter(|text| text.starts_with("order_item")).collect();
    assert_eq!(items, ["order_item c 1/2", "order_item c 2/1", "order_item c 1/1"]);
    assert!(changes.windows(2).all(|pair| pair[0].order_key < pair[1].order_key));
}

#[test]
fn a_bad_line_is_refused_by_number_before_anything_is_given() {
    let good = "1,A,x,1,2010-12-01 08:00:00,1.0,7.0,UK\n";
    for (bad, wanted) in [
        ("1,A,x,1,2010-12-01 08:00:00,1.0,7.0\n", "line 3 of `?` has 7 columns instead of 8"),
        ("1,A,x,1,2010-12-01 08:00:00,1.0,7.0,UK,x\n", "line 3 of `?` has 9 columns instead of 8"),
        ("1,A,x,1.5,2010-12-01 08:00:00,1.0,7.0,UK\n", "line 3 of `?`: `Quantity` is no whole number"),
        (
            "1,A,x,1,2010-13-01 08:00:00,1.0,7.0,UK\n",
            "line 3 of `?`: `InvoiceDate` is no time of the form 2010-12-01 08:26:00",
        ),
        (
            "1,A,x,1,2010-12-01 08:00:00,1.2345,7.0,UK\n",
            "line 3 of `?`: `UnitPrice` is no decimal of at most 9 digits before the point and 3 after it",
        ),
        (
            "1,A,x,1,2010-12-01 08:00:00,1.0,seven,UK\n",
            "line 3 of `?`: `CustomerID` is neither empty nor a number such as 17850.0",
        ),
        (",A,x,1,2010-12-01 08:00:00,1.0,7.0,UK\n", "line 3 of `?`: `InvoiceNo` is empty"),
    ] {
        let error = open(&gzipped(&format!("{HEADER}{good}{bad}{good}"))).unwrap_err();
        let text = error.to_string();
        let (start, rest) = text.split_once('`').unwrap();
        let (_, end) = rest.split_once('`').unwrap();
        assert_eq!(format!("{start}`?`{end}"), wanted);
        assert!(error.is_bad_input());
    }
    let mut bytes = format!("{HEADER}{good}").into_bytes();
    bytes.extend_from_slice(b"1,A,\xff,1,2010-12-01 08:00:00,1.0,7.0,UK\n");
    assert!(matches!(open(&bytes), Err(SourceError::BadValue { line: 3, ref column, .. }) if column == "Description"));
}

#[test]
fn a_missing_file_a_folder_and_a_foreign_header_are_told_apart() {
    let missing = OnlineRetail::open(Path::new("/nowhere/online-retail.csv.gz"), &retail()).unwrap_err();
    assert!(matches!(missing, SourceError::Open { .. }));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(OnlineRetail::open(dir.path(), &retail()), Err(SourceError::Open { .. })));
    assert!(matches!(open(b"a,b,c\n1,2,3\n"), Err(SourceError::Header { .. })));
    assert!(matches!(open(b""), Err(SourceError::Header { .. })));
}

#[test]
fn a_truncated_gzip_is_refused_wherever_it_is_cut() {
    let line = "1,A,x,1,2010-12-01 08:00:00,1.0,7.0,UK\n";
    let whole = gzipped(&format!("{HEADER}{}", line.repeat(500)));
    assert_eq!(open(&whole).unwrap().lines(), 500);
    for cut in [3, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let error = open(&whole[..cut]).unwrap_err();
        assert!(matches!(error, SourceError::Read { .. }), "cut at {cut}: {error}");
    }
    let mut damaged = whole.clone();
    let middle = whole.len() - 6;
    damaged[middle] ^= 0xff;
    assert!(matches!(open(&damaged), Err(SourceError::Read { .. })), "checksum");
}

/// The file from `WEIR_ONLINE_RETAIL`, or beside the repository; else a skip, reported as the harness of the
/// product's tests does (it links the lake, which this crate must not).
fn real_file() -> Option<PathBuf> {
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/online-retail/online-retail.csv.gz");
    let path = std::env::var_os("WEIR_ONLINE_RETAIL").map_or_else(beside, PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    let reason = "the Online Retail data set is not here (WEIR_ONLINE_RETAIL)";
    let required =
        std::env::var("WEIR_REQUIRE").is_ok_and(|parts| parts.split(',').any(|p| p.trim() == "online-retail"));
    assert!(!required, "WEIR_REQUIRE names `online-retail`, but {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "skipped: {test}: {reason}").ok();
    if let Some(path) = std::env::var_os("WEIR_SKIPS")
        && let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(path)
    {
        writeln!(file, "{reason}").ok();
    }
    None
}

#[test]
fn the_real_file_has_the_counts_that_are_known_of_it() {
    let Some(path) = real_file() else { return };
    let tables = retail();
    let source = Source::OnlineRetail(OnlineRetail::open(&path, &tables).unwrap());
    let (mut counts, mut total, mut without, mut negative, mut free) = (std::collections::BTreeMap::new(), 0, 0, 0, 0);
    let (mut negative_total, mut cancelled) = (0, 0);
    let mut records = 0;
    for record in source.ledger(&tables, 3) {
        records += 1;
        let RecordKind::Change(change) = record.unwrap().kind else { panic!("only changes") };
        *counts.entry((change.table.to_string(), change.op)).or_insert(0) += 1;
        let row = change.row.unwrap();
        if change.table.as_str() == "order_item" {
            let (Value::Int(quantity), Value::Decimal(price, 3)) = (&row[4], &row[5]) else { panic!("{row:?}") };
            total += i128::from(*quantity) * price;
            without += u32::from(row[3].is_null());
            negative += u32::from(*price < 0);
            free += u32::from(*price == 0);
            negative_total += if *price < 0 { i128::from(*quantity) * price } else { 0 };
            cancelled += u32::from(row[0].to_string().starts_with('C'));
        }
    }
    assert_eq!(total, 9_747_747_934, "9,747,747.934 exactly");
    assert_eq!(negative_total, -22_124_120, "-22,124.12 exactly");
    assert_eq!((without, negative, free, cancelled), (135_080, 2, 2515, 9288));
    let counted: Vec<_> = counts.iter().map(|((table, op), count)| (table.as_str(), *op, *count)).collect();
    assert_eq!(
        counted,
        [
            ("customer", Op::Create, 4372),
            ("customer", Op::Update, 16),
            ("order", Op::Create, 25_900),
            ("order_item", Op::Create, 541_909),
            ("product", Op::Create, 4070),
            ("product", Op::Update, 188_871),
        ]
    );
    assert!(source.estimate().abs_diff(records) < 1000);
}
