//! What a person reads when a project is wrong: every problem, at its line, with a way out.

use std::fs;
use std::path::Path;

use weir_project::{load, validate};

#[path = "problems/recovery.rs"]
mod recovery;
#[path = "problems/stream.rs"]
mod stream;
#[path = "problems/warehouse.rs"]
mod warehouse;

struct Pipeline(tempfile::TempDir);

/// A small pipeline that is right; tests break it.
fn pipeline() -> Pipeline {
    let pipeline = Pipeline(tempfile::tempdir().expect("a folder"));
    for (file, text) in [
        ("weir.yaml", "name: library\nlanding:\n  max_wait: 1m\n"),
        ("environments/dev.yaml", "lake:\n  root: lake\n"),
        (
            "sources/library.yaml",
            "connector: sqlserver\nserver: library\ndatabase: Library\nschema: dbo\ntables: [book, loan]\n",
        ),
        (
            "contracts/book.yaml",
            "key: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n  - {name: price, type: money, nullable: true}\n",
        ),
        (
            "contracts/loan.yaml",
            "key: [loan_id]\ncolumns:\n  - {name: loan_id, type: bigint}\n  - {name: isbn, type: nvarchar(13)}\n  - {name: lent_at, type: datetime2(3)}\n",
        ),
        ("models/curated/dim_book.sql", "SELECT isbn, price FROM staging.book;\n"),
        (
            "models/curated/dim_book.yaml",
            "kind: dimension\nsurrogate_key: book_key\nkey: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n  - {name: price, type: money, scd: type2}\n",
        ),
        ("models/curated/fact_loan.sql", "SELECT loan_id, isbn, lent_at FROM staging.loan\n"),
        (
            "models/curated/fact_loan.yaml",
            "kind: fact\nkey: [loan_id]\nevent_time: lent_at\ncolumns:\n  - {name: loan_id, type: bigint}\n  - {name: isbn, type: nvarchar(13)}\n  - {name: lent_at, type: datetime2(3)}\ndimensions:\n  - {key_column: book_key, dimension: dim_book, on: [isbn]}\n",
        ),
    ] {
        pipeline.write(file, text);
    }
    pipeline
}

impl Pipeline {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
        self
    }

    fn replace(&self, file: &str, from: &str, to: &str) -> &Self {
        let text = fs::read_to_string(self.path().join(file)).expect("readable");
        assert!(text.contains(from), "{file} holds no {from}");
        self.write(file, &text.replacen(from, to, 1))
    }

    /// The problems in full.
    fn problems(&self) -> String {
        let all = validate(self.path(), "dev").iter().map(|problem| problem.render()).collect::<Vec<_>>().join("\n");
        all.replace(&self.path().display().to_string(), "DIR")
    }

    /// One line per problem: place, code, message, way out.
    fn lines(&self) -> String {
        use weir_core::diagnosis::Diagnose;
        let line = |problem: &weir_project::Problem| {
            let diagnosis = problem.fault.diagnosis();
            let fix = problem.hint.as_deref().unwrap_or(diagnosis.fix);
            format!("{} {} {} ({fix})", problem.place, diagnosis.code, problem.fault)
        };
        let all = validate(self.path(), "dev").iter().map(line).collect::<Vec<_>>().join("\n");
        all.replace(&self.path().display().to_string(), "DIR")
    }
}

#[test]
fn a_right_pipeline_has_no_problem() {
    assert_eq!(pipeline().problems(), "");
}

#[test]
fn an_unknown_key_is_refused_at_its_place_with_what_was_meant() {
    let pipeline = pipeline();
    pipeline.replace("weir.yaml", "max_wait", "max_wiat");
    insta::assert_snapshot!(pipeline.problems(), @r#"
    error[W1003]: unknown key `max_wiat` in `landing`
     --> weir.yaml:3:3
      |
    3 |   max_wiat: 1m
      |   ^^^^^^^^
      = cause: only known keys are accepted, so that a misspelt one is not ignored
      = fix: did you mean `max_wait`?
    "#);
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let pipeline = pipeline();
    pipeline
        .replace("weir.yaml", "max_wait: 1m", "max_wait: soon\n  max_rows: many\n  max_size: 1KiB")
        .replace("environments/dev.yaml", "root: lake", "root: lake\n  root: pond")
        .replace("sources/library.yaml", "tables: [book, loan]", "tables: [book, loans]")
        .replace("contracts/book.yaml", "type: money", "type: moneys")
        .replace("models/curated/fact_loan.yaml", "event_time: lent_at", "event_time: lent");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yaml:4:25 W1007 `columns[1].type`: `moneys` is no column type (use bit, tinyint, smallint, int, bigint, real, float, decimal(p,s), money, smallmoney, nvarchar(n|max), varchar(n|max), date, datetime2(n), datetimeoffset, uniqueidentifier or varbinary(n|max))
    contracts/loan.yaml W1020 unknown table `loan` (did you mean `loans`?)
    environments/dev.yaml:3:3 W1006 key `root` is declared twice (rename or remove one)
    models/curated/fact_loan.sql:1:36 W1020 unknown table `loan` (use one of: book)
    models/curated/fact_loan.yaml:3:13 W1022 `lent` is no column of model `fact_loan` (did you mean `lent_at`?)
    sources/library.yaml:5:16 W1021 table `loans` has no contract (did you mean `loan`?)
    weir.yaml:3:13 W1007 `landing.max_wait`: `soon` is no duration (write a number with a unit: `500ms`, `30s`, `1m`, `7d`)
    weir.yaml:4:13 W1004 `landing.max_rows` is a text, expected a whole number (write a whole number)
    weir.yaml:5:13 W1007 `landing.max_size`: 1KiB is too small (use at least `1MiB`)
    "#);
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    let pipeline = pipeline();
    pipeline
        .replace("weir.yaml", "max_wait: 1m", "max_wait: 60\n  max_rows: 1.5\n  retention:\nstaging: [1]")
        .replace("contracts/book.yaml", "nullable: true", "nullable: maybe")
        .replace("contracts/loan.yaml", "key: [loan_id]", "key: loan_id");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yaml:4:42 W1004 `columns[1].nullable` is a text, expected true or false (write true or false)
    contracts/loan.yaml:1:6 W1004 `key` is a text, expected a list (write a list)
    weir.yaml:3:13 W1004 `landing.max_wait` is the number 60, expected a text (put it in quotes)
    weir.yaml:4:13 W1004 `landing.max_rows` is the number 1.5, expected a whole number (write a whole number)
    weir.yaml:5:12 W1004 `landing.retention` is empty, expected a text (give it a value, or remove the key)
    weir.yaml:6:10 W1004 `staging` is a list, expected a mapping (write a mapping)
    "#);
}

#[test]
fn a_text_that_is_no_yaml_is_refused_and_the_other_files_are_still_checked() {
    let pipeline = pipeline();
    pipeline.write("contracts/book.yaml", "key: [isbn\ncolumns: x\n").replace(
        "contracts/loan.yaml",
        "key: [loan_id]",
        "key: [loan]",
    );
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yaml:2:8 W1002 not readable as YAML: illegal placement of ':' indicator (check indentation, colons and quotes)
    contracts/loan.yaml:1:7 W1023 key `loan` is no column of table `loan` (did you mean `loan_id`?)
    "#);
}

#[test]
fn a_key_that_is_no_column_is_refused_in_contract_and_model() {
    let pipeline = pipeline();
    pipeline.replace("contracts/book.yaml", "key: [isbn]", "key: [isbm]").replace(
        "models/curated/fact_loan.yaml",
        "key: [loan_id]",
        "key: [loan_no]",
    );
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yaml:1:7 W1023 key `isbm` is no column of table `book` (did you mean `isbn`?)
    models/curated/fact_loan.yaml:2:7 W1023 key `loan_no` is no column of model `fact_loan` (did you mean `loan_id`?)
    "#);
}

#[test]
fn a_column_that_a_query_names_and_its_table_lacks_is_refused_at_its_place() {
    let pipeline = pipeline();
    pipeline.write("models/curated/dim_book.sql", "SELECT isbn,\n  prize AS price\nFROM staging.book");
    insta::assert_snapshot!(pipeline.problems(), @r#"
    error[W1022]: `prize` is no column of table `staging.book`
     --> models/curated/dim_book.sql:2:3
      |
    2 |   prize AS price
      |   ^^^^^
      = cause: the name is not among the declared columns
      = fix: did you mean `price`?
    "#);
}

#[test]
fn query_and_yaml_of_a_model_must_agree() {
    let pipeline = pipeline();
    pipeline.write("models/curated/dim_book.sql", "SELECT isbn, price, price AS list_price FROM staging.book").replace(
        "models/curated/fact_loan.yaml",
        "isbn, type: nvarchar(13)",
        "isbn, type: nvarchar(10)",
    );
    insta::assert_snapshot!(pipeline.lines(), @r#"
    models/curated/dim_book.yaml:4:1 W1032 the query of `dim_book` gives (isbn, price, list_price), its YAML declares (isbn, price) (make the two agree)
    models/curated/fact_loan.yaml:6:24 W1032 column `isbn` is nvarchar(13) in `staging.loan` and nvarchar(10) in `fact_loan` (declare the same type, or CAST in the query)
    "#);
}

#[test]
fn a_model_must_keep_the_key_of_its_table() {
    let pipeline = pipeline();
    pipeline.write("models/curated/dim_book.sql", "SELECT upper(isbn) AS isbn, price FROM staging.book");
    insta::assert_snapshot!(pipeline.lines(), @r#"models/curated/dim_book.yaml:3:1 W1037 key of model `dim_book` is not the key of `staging.book` (select (isbn) unchanged, and name them all in `key:`)"#);
}

#[test]
fn a_cycle_between_models_is_named() {
    let pipeline = pipeline();
    pipeline
        .replace("models/curated/dim_book.yaml", "key: [isbn]", "key: [isbn]\ndimensions:\n  - {key_column: k, dimension: dim_author, on: [isbn]}")
        .write("models/curated/dim_author.sql", "SELECT isbn, price FROM curated.dim_book")
        .write(
            "models/curated/dim_author.yaml",
            "kind: dimension\nsurrogate_key: author_key\nkey: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n  - {name: price, type: money, scd: type1}\n",
        );
    insta::assert_snapshot!(pipeline.problems(), @r#"
    error[W1034]: models depend on each other in a cycle: dim_author -> dim_book -> dim_author
     --> models/curated/dim_author.sql:1:25
      |
    1 | SELECT isbn, price FROM curated.dim_book
      |                         ^^^^^^^^^^^^^^^^
      = cause: none of them could be built first
      = fix: remove one of the references
    "#);
}

#[test]
fn unknown_models_and_models_over_models_are_refused() {
    let pipeline = pipeline();
    pipeline
        .replace("models/curated/fact_loan.yaml", "dimension: dim_book", "dimension: dim_boook")
        .write("models/curated/dim_book.sql", "SELECT isbn, price FROM analytics.fact_loan")
        .write("models/curated/fact_late.sql", "SELECT loan_id FROM staging.loan");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    models/curated/dim_book.sql:1:25 W1035 model `dim_book` reads model `fact_loan` (read `staging.<table>`, and point to dimensions in the YAML)
    models/curated/fact_late.sql W1036 `models/curated/fact_late.sql` has no `models/curated/fact_late.yaml` beside it (write the other file, or remove this one)
    models/curated/fact_loan.yaml:9:39 W1033 unknown model `dim_boook` (did you mean `dim_book`?)
    "#);
}

#[test]
fn settings_that_would_do_nothing_are_refused() {
    let pipeline = pipeline();
    pipeline
        .write(
            "environments/dev.yaml",
            "stream:\n  brokers: embedded\n  registry: http://registry:8081\n  registry_port: 8081\n  client: {security.protocol: SSL}\nwarehouse:\n  target: postgres://weir@host:5439/db\n  memory: 1GiB\n  auth: iam\nlake:\n  region: eu-central-1\n",
        )
        .replace("models/curated/fact_loan.yaml", "lent_at, type: datetime2(3)", "lent_at, type: datetime2(3), scd: type2")
        .replace("models/curated/dim_book.yaml", "key: [isbn]", "key: [isbn]\nmilestones: []")
        .write("contracts/book.yml", "key: [x]\n");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yml W1008 `contracts/book.yml` does nothing: only `*.yaml` is read in `contracts` (remove it)
    environments/dev.yaml:4:18 W1008 `stream.registry_port` does nothing: the registry is external (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:5:31 W1008 `stream.client.security.protocol` does nothing: the embedded broker is inside the process and takes no client settings (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:8:11 W1008 `warehouse.memory` does nothing: Redshift has its own memory (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:9:9 W1008 `warehouse.auth` does nothing: the embedded broker asks no one who they are (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:11:11 W1008 `lake.region` does nothing: `lake.root` is a folder (remove it, or move it to the file of an environment that uses it)
    models/curated/dim_book.yaml:4:1 W1008 `milestones` does nothing: only facts have it (remove it)
    models/curated/fact_loan.yaml:7:46 W1008 `columns[2].scd` does nothing: only a dimension keeps versions (remove it)
    "#);
}

#[test]
fn the_endpoint_of_a_bucket_is_a_url_and_holds_no_credentials() {
    let pipeline = pipeline();
    let with = |endpoint: &str| format!("lake:\n  root: s3://library/lake\n  endpoint: {endpoint}\n");
    pipeline.write("environments/dev.yaml", &with("minio:9000"));
    insta::assert_snapshot!(pipeline.lines(), @"environments/dev.yaml:3:13 W1007 `lake.endpoint`: it is no URL (write a URL such as `https://minio.example.com`)");
    pipeline.write("environments/dev.yaml", &with("http://key:secret@minio:9000"));
    insta::assert_snapshot!(pipeline.lines(), @"environments/dev.yaml:3:13 W1007 `lake.endpoint`: it holds a user (let the process find its credentials as AWS programs do, e.g. in variables)");
    pipeline.write("environments/dev.yaml", &with("http://minio:9000"));
    insta::assert_snapshot!(pipeline.lines(), @"");
}

#[test]
fn rules_are_held_to_their_columns() {
    let pipeline = pipeline();
    let contract = fs::read_to_string(pipeline.path().join("contracts/book.yaml")).expect("readable");
    let rules = "expectations:
  - {name: a, column: isbn, severity: warn, range: {min: 1}}
  - {name: b, column: price, severity: warn, regex: x}
  - {name: c, column: price, severity: warn, range: {min: 0.00001}}
  - {name: d, column: price, severity: warn, range: {min: 2, max: 1}}
  - {name: e, column: isbn, severity: warn, regex: '('}
  - {name: f, column: isbn, severity: warn, not_null: false}
  - {name: g, column: isbn, severity: warn}
  - {name: h, column: isbn, severity: warn, not_null: true, set: [a]}
  - {name: i, column: isb, severity: warn, not_null: true}
  - {name: j, column: isbn, severity: wran, not_null: true}
";
    pipeline.write("contracts/book.yaml", &format!("{contract}{rules}"));
    assert!(pipeline.lines().contains("`wran` is not allowed (did you mean `warn`?)"));
    pipeline.write(
        "contracts/book.yaml",
        &format!("{contract}{}", rules.replace("wran", "warn").replace("name: j", "name: a")),
    );
    insta::assert_snapshot!(pipeline.lines(), @r#"
    contracts/book.yaml:6:45 W1024 a range rule cannot look at column `isbn` of type nvarchar(13) (use another rule, or another column)
    contracts/book.yaml:7:53 W1024 a regex rule cannot look at column `price` of type decimal(19,4) (use another rule, or another column)
    contracts/book.yaml:8:59 W1025 `0.00001` is no decimal(19,4): it has more than 4 digits after the point (write it as the type prints, e.g. `0.000`, `2024-01-31`, `2024-01-31T08:00:00Z`)
    contracts/book.yaml:9:46 W1007 `expectations[3].range`: `min` is above `max`, so no value can pass (write an allowed value)
    contracts/book.yaml:10:52 W1007 `expectations[4].regex`: it is no regular expression: unclosed group (write an allowed value)
    contracts/book.yaml:11:55 W1008 `expectations[5].not_null` does nothing: `false` allows what is allowed anyway (remove it)
    contracts/book.yaml:12:12 W1007 `expectations[6]`: it says nothing about the column (give it exactly one of not_null, range, set, regex, reference)
    contracts/book.yaml:13:12 W1007 `expectations[7]`: it has 2 rules: not_null, set (give it exactly one of not_null, range, set, regex, reference)
    contracts/book.yaml:14:23 W1022 `isb` is no column of table `book` (did you mean `isbn`?)
    "#);
}

#[test]
fn a_reference_rule_names_a_table_and_column_of_the_same_type() {
    let pipeline = pipeline();
    let contract = fs::read_to_string(pipeline.path().join("contracts/loan.yaml")).expect("readable");
    let rule = |rest: &str| {
        format!("{contract}expectations:\n  - {{name: a, column: isbn, severity: warn, reference: {rest}}}\n")
    };
    for (rest, expected) in [
        ("{table: book, column: isbn}", ""),
        ("{table: boook, column: isbn}", "unknown table `boook` (did you mean `book`?)"),
        ("{table: book, column: isb}", "`isb` is no column of table `book` (did you mean `isbn`?)"),
        ("{table: book, column: price}", "it compares nvarchar(13) with decimal(19,4)"),
    ] {
        let found = pipeline.write("contracts/loan.yaml", &rule(rest)).lines();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{rest}: {found}");
    }
}

#[test]
fn a_cleaning_query_gives_its_table_again() {
    let pipeline = pipeline();
    pipeline.write("models/staging/book.sql", "SELECT isbn, abs(price) AS price FROM landing.book\n");
    let project = load(pipeline.path(), "dev", &[]).expect("right");
    assert!(project.tables[0].staging_sql.as_ref().is_some_and(|sql| sql.text.ends_with("landing.book")));
    pipeline
        .write("models/staging/book.sql", "SELECT trim(isbn) AS isbn FROM staging.book WHERE price > 0")
        .write("models/staging/magazine.sql", "SELECT a FROM landing.magazine");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    models/staging/book.sql W1032 the query gives (isbn), the contract of `book` has (isbn, price) (give every column of the contract, in its order)
    models/staging/book.sql:1:13 W1031 a changed key column `isbn` is not allowed in a model (select it as it is; a cleaned key would no longer match its deletes)
    models/staging/book.sql:1:32 W1031 a cleaning query over `staging.book` is not allowed in a model (read `FROM landing."book"`)
    models/staging/book.sql:1:51 W1031 WHERE in a cleaning query, which would drop changes, is not allowed in a model (use an expectation with severity quarantine, which loses nothing)
    models/staging/magazine.sql W1020 unknown table `magazine` (add it to `tables:` of its source, or correct the name)
    "#);
}

#[test]
fn a_folder_without_a_project_and_an_unknown_environment_are_told_apart() {
    let pipeline = pipeline();
    let error = load(&pipeline.path().join("nowhere"), "dev", &[]).expect_err("no project").to_string();
    assert!(error.contains("error[W1001]: cannot read"), "{error}");
    let error = load(pipeline.path(), "dve", &[]).expect_err("no environment").to_string();
    insta::assert_snapshot!(error, @r#"
    error[W1009]: no environment `dve`
     --> environments
      = cause: each environment has a file `environments/<name>.yaml`
      = fix: did you mean `dev`?

    1 problem in the project's files
    "#);
}

#[test]
fn a_secret_in_plain_text_is_refused_and_not_repeated() {
    let pipeline = pipeline();
    pipeline.write(
        "environments/dev.yaml",
        "stream:\n  brokers: host:9092\n  registry: https://me:hunter2@registry\n  client:\n    sasl.password: hunter2\n    sasl.username: ${vault:broker/user}\n",
    );
    let found = pipeline.problems();
    assert!(!found.contains("hunter2"), "{found}");
    insta::assert_snapshot!(pipeline.lines(), @r#"
    environments/dev.yaml:3:13 W1013 `stream.registry` holds a secret in plain text (write a reference such as `${env:NAME}`)
    environments/dev.yaml:5:20 W1013 `stream.client.sasl.password` holds a secret in plain text (write a reference such as `${env:NAME}`)
    environments/dev.yaml:6:20 W1011 `stream.client.sasl.username`: `vault` is no kind of reference (write `${env:NAME}`, `${file:/path}`, `${aws-sm:NAME#FIELD}` or `${aws-ssm:NAME}`)
    "#);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic(file in 0usize..9, cut in 0usize..200, junk in "[\\PC\n]{0,6}") {
        let files = [
            "weir.yaml",
            "environments/dev.yaml",
            "sources/library.yaml",
            "contracts/book.yaml",
            "contracts/loan.yaml",
            "models/curated/dim_book.sql",
            "models/curated/dim_book.yaml",
            "models/curated/fact_loan.sql",
            "models/curated/fact_loan.yaml",
        ];
        let pipeline = pipeline();
        let text = fs::read_to_string(pipeline.path().join(files[file])).expect("readable");
        let at = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        pipeline.write(files[file], &format!("{}{junk}{}", &text[..at], &text[at..]));
        // Right or wrong, it ends with an answer that can be printed.
        let _ = pipeline.problems();
    }
}

#[test]
fn a_mistake_in_a_unit_test_is_told_at_its_place() {
    let pipeline = pipeline();
    let file = "models/curated/dim_book.yaml";
    let text = fs::read_to_string(pipeline.path().join(file)).expect("readable");
    let tests = "tests:
  - name: a book
    given:
      book:
        - {op: c, at: 2024-01-01, row: {isbn: a, price: x}}
        - {op: c, at: soon, row: {isbn: a, prize: 1}}
        - {op: d, at: 2024-01-01, row: {price: 1.23456}}
      loan: []
      bok: []
    expect:
      - {isbn: a, price: null, is_curent: true}
      - {isbn: {price: 1}}
      - {}
  - name: a book
    given: {}
    expect: []
";
    pipeline.write(file, &(text + tests));
    let found = pipeline.lines();
    let places: Vec<String> = (found.lines())
        .map(|line| line.split([':', ' ']).collect::<Vec<_>>())
        .map(|parts| format!("{} {}", parts[1], parts[3]))
        .collect();
    let wanted = [
        "11 W1025", "12 W1025", "12 W1022", "13 W1005", "13 W1025", "14 W1008", "15 W1020", "17 W1022", "18 W1007",
        "19 W1007", "20 W1006",
    ];
    assert_eq!(places, wanted, "{found}");
    assert!(found.contains("`bok` (did you mean") || found.contains("`bok` (use one of: book"), "{found}");

    pipeline.replace(file, "op: c", "op: x").replace(file, "expect: []", "except: []");
    insta::assert_snapshot!(pipeline.lines(), @r"
    models/curated/dim_book.yaml:11:16 W1007 `tests[0].given.book[0].op`: `x` is not allowed (did you mean `r`?)
    models/curated/dim_book.yaml:20:5 W1005 key `expect` is missing in `tests[1]` (add it)
    models/curated/dim_book.yaml:22:5 W1003 unknown key `except` in `tests[1]` (did you mean `expect`?)
    ");
    let right = tests
        .replace("price: x", "price: 1")
        .replace("at: soon, row: {isbn: a, prize: 1}", "at: 2024-01-02, row: {isbn: a}")
        .replace("row: {price: 1.23456}", "row: {isbn: a}")
        .replace("      loan: []\n      bok: []\n", "")
        .replace("is_curent: true}\n      - {isbn: {price: 1}}\n      - {}\n", "is_current: true}\n")
        .replace("  - name: a book\n    given: {}", "  - name: nothing\n    given: {}");
    let other = self::pipeline();
    let text = fs::read_to_string(other.path().join(file)).expect("readable");
    other.write(file, &(text + &right));
    assert_eq!(other.problems(), "");
}

const AGGREGATE: &str = "kind: aggregate\nkey: [price]\ncolumns:\n  - {name: price, type: money}\n  - {name: loans, type: bigint}\n  - {name: ids, type: bigint}\n";

#[test]
fn an_aggregate_is_held_to_the_fact_and_the_dimensions_that_it_reads() {
    for (select, yaml, expected) in [
        ("COALESCE(b.price, 0.0000) AS price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY 1", AGGREGATE, ""),
        ("b.price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY b.price", AGGREGATE, "W1082 group column `price`"),
        (
            "COALESCE(b.prise, 0) AS price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY 1",
            AGGREGATE,
            "W1022 `prise`",
        ),
        (
            "COALESCE(isbn, '') AS price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY 1",
            AGGREGATE,
            "W1080 `isbn`, which more",
        ),
        (
            "COALESCE(b.price, 0.0000) AS price, COUNT(*) AS loans, SUM(l.isbn) AS ids|GROUP BY 1",
            AGGREGATE,
            "W1032 column `ids`",
        ),
        (
            "COALESCE(b.price, 0.0000) AS price, COUNT(*) AS loans, MAX(l.loan_id) AS ids|GROUP BY 1",
            AGGREGATE,
            "W1080 `max`",
        ),
        (
            "COALESCE(b.price, 0.0000) AS price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY 1",
            &AGGREGATE.replace("[price]", "[price, loans]"),
            "W1083 key of aggregate `agg_loan`",
        ),
        (
            "COALESCE(b.price, 0.0000) AS price, COUNT(*) AS loans, SUM(l.loan_id) AS ids|GROUP BY 1",
            &AGGREGATE.replace("bigint", "float"),
            "W1032 column `loans`",
        ),
    ] {
        let pipeline = pipeline();
        let (columns, rest) = select.split_once('|').expect("two parts");
        let from = "FROM curated.fact_loan AS l JOIN curated.dim_book AS b ON b.book_key = l.book_key";
        pipeline.write("models/curated/agg_loan.sql", &format!("SELECT {columns} {from} {rest}"));
        pipeline.write("models/curated/agg_loan.yaml", yaml);
        let found: Vec<String> = (validate(pipeline.path(), "dev").iter())
            .map(|problem| {
                format!("{} {}", weir_core::diagnosis::Diagnose::diagnosis(&problem.fault).code, problem.fault)
            })
            .collect();
        match expected {
            "" => assert_eq!(found, Vec::<String>::new(), "{select}"),
            _ => assert!(found.iter().any(|text| text.starts_with(expected)), "{select}: {found:#?}"),
        }
    }
}

#[test]
fn an_aggregate_joins_a_dimension_by_its_key_only() {
    for (from, expected) in [
        ("curated.fact_loan AS l JOIN curated.dim_book AS b ON b.isbn = l.isbn", "ON b.book_key = l.book_key"),
        ("curated.dim_book AS b", "`dim_book` is no fact"),
        ("curated.fact_lone AS l", "did you mean `fact_loan`?"),
        ("staging.loan AS l", "an aggregate reads `curated.<fact>`"),
    ] {
        let pipeline = pipeline();
        let text = format!("SELECT COALESCE(isbn, '') AS isbn, COUNT(*) AS loans FROM {from} GROUP BY 1");
        pipeline.write("models/curated/agg_loan.sql", &text);
        let yaml = "kind: aggregate\nkey: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n  - {name: loans, type: bigint}\n";
        pipeline.write("models/curated/agg_loan.yaml", yaml);
        let found: Vec<String> = validate(pipeline.path(), "dev").iter().map(|problem| problem.render()).collect();
        assert!(found.iter().any(|text| text.contains(expected)), "{from}: {}", found.join("\n"));
    }
}

#[test]
fn a_view_is_held_to_the_models_that_it_reads() {
    for (select, expected) in [
        (
            "SELECT b.price, COUNT(*) AS loans FROM curated.fact_loan AS l JOIN curated.dim_book AS b ON b.book_key = l.book_key GROUP BY b.price",
            "",
        ),
        ("SELECT b.prise FROM curated.dim_book AS b", "did you mean `price`?"),
        ("SELECT b.isbn FROM curated.dim_bok AS b", "did you mean `dim_book`?"),
        ("SELECT b.isbn FROM staging.book AS b", "instead of `curated.<model>`"),
        ("SELECT v.isbn FROM curated.view_books AS v", "which is a view itself"),
    ] {
        let pipeline = pipeline();
        pipeline.write("models/curated/view_books.sql", select).write("models/curated/view_books.yaml", "kind: view\n");
        let problems = pipeline.problems();
        match expected {
            "" => assert_eq!(problems, ""),
            _ => assert!(problems.contains(expected), "{select}: {problems}"),
        }
    }
}

#[test]
fn a_view_has_no_table_that_unit_tests_could_expect_rows_of() {
    let pipeline = pipeline();
    pipeline.write("models/curated/view_books.sql", "SELECT b.isbn FROM curated.dim_book AS b");
    pipeline.write("models/curated/view_books.yaml", "kind: view\n");
    assert_eq!(pipeline.problems(), "");
    let tests = "kind: view\ntests:\n  - {name: nothing, given: {}, expect: []}\n";
    pipeline.write("models/curated/view_books.yaml", tests);
    assert!(pipeline.problems().contains("a view is its query and nothing else"), "{}", pipeline.problems());
}
