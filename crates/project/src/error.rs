//! What can be wrong with a project: each fault with code, cause and fix, at its place, all of them at once.

use std::fmt::{self, Write};
use std::path::PathBuf;

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

/// A fault in the user's files. `hint` of the [`Problem`] around it says more where more is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A file or folder that cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Text that is no YAML, or uses a part of YAML that Weir refuses.
    #[error("not readable as YAML: {0}")]
    Syntax(String),
    /// A key that the file kind does not have.
    #[error("unknown key `{key}`{}", within(parent))]
    UnknownKey {
        /// The key.
        key: String,
        /// Path of the mapping that holds it; empty at the top.
        parent: String,
    },
    /// A value of the wrong shape.
    #[error("`{path}` is {found}, expected {expected}")]
    WrongType {
        /// Path of the value.
        path: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A key that must be there.
    #[error("key `{key}` is missing{}", within(parent))]
    MissingKey {
        /// The key.
        key: String,
        /// Path of the mapping that lacks it; empty at the top.
        parent: String,
    },
    /// The same name twice where one is allowed.
    #[error("{what} `{name}` is declared twice")]
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value of the right shape that does not say anything sensible.
    #[error("`{path}`: {reason}")]
    BadValue {
        /// Path of the value.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that would be read and then ignored.
    #[error("`{path}` does nothing: {reason}")]
    Useless {
        /// Path of the setting.
        path: String,
        /// Why.
        reason: String,
    },
    /// An environment without a file.
    #[error("no environment `{0}`")]
    UnknownEnvironment(String),
    /// A flag or variable that names no setting.
    #[error("`{0}` is no setting")]
    UnknownSetting(String),
    /// A reference to a secret that cannot be read as one.
    #[error("`{path}`: {reason}")]
    BadSecret {
        /// Path of the setting.
        path: String,
        /// What is wrong with the reference; never a secret's value.
        reason: String,
    },
    /// A reference whose secret is not there.
    #[error("secret `{reference}` is not available: {reason}")]
    SecretUnavailable {
        /// The reference, e.g. `${env:X}`.
        reference: String,
        /// Why.
        reason: String,
    },
    /// A secret written out in a file.
    #[error("`{0}` holds a secret in plain text")]
    PlainSecret(String),
    /// A table that no source lists.
    #[error("unknown table `{0}`")]
    UnknownTable(String),
    /// A table without a contract.
    #[error("table `{0}` has no contract")]
    NoContract(String),
    /// A column that its table or query does not have.
    #[error("`{column}` is no column of {of}")]
    UnknownColumn {
        /// The name.
        column: String,
        /// Table or model.
        of: String,
    },
    /// A key that is no column.
    #[error("key `{key}` is no column of {of}")]
    KeyIsNoColumn {
        /// The key column's name.
        key: String,
        /// Table or model.
        of: String,
    },
    /// A rule on a column of a type that it cannot look at.
    #[error("a {rule} rule cannot look at column `{column}` of type {kind}")]
    RuleDoesNotFit {
        /// The rule's kind.
        rule: &'static str,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// A rule's literal that is no value of its column.
    #[error("`{literal}` is no {kind}{reason}")]
    BadLiteral {
        /// The literal.
        literal: String,
        /// The column's type.
        kind: String,
        /// More, after a colon; or nothing.
        reason: String,
    },
    /// SQL that does not parse.
    #[error("not readable as SQL: {0}")]
    SqlSyntax(String),
    /// SQL that parses and is not a row-wise SELECT over one table.
    #[error("{0} is not allowed in a model")]
    SqlNotRowWise(String),
    /// Columns of the SQL and of the YAML differ.
    #[error("{0}")]
    ColumnsDiffer(String),
    /// A model that does not exist.
    #[error("unknown model `{0}`")]
    UnknownModel(String),
    /// Models that wait for each other.
    #[error("models depend on each other in a cycle: {0}")]
    Cycle(String),
    /// A model whose SQL reads another model.
    #[error("model `{model}` reads model `{other}`")]
    ReadsModel {
        /// The reader.
        model: String,
        /// The other.
        other: String,
    },
    /// One of a model's two files is missing.
    #[error("`{0}` has no `{1}` beside it")]
    NoTwin(String, String),
    /// A key that is not the key of the table that the model reads.
    #[error("key of model `{model}` is not the key of `{source_table}`")]
    KeyNotSourceKey {
        /// The model.
        model: String,
        /// The table that it reads.
        source_table: String,
    },
    /// A selection of something that does not exist.
    #[error("`{0}` is no table of staging and no model")]
    NotSelectable(String),
    /// A part of an aggregate's SQL that could not be kept up by what changed.
    #[error("{0} cannot be kept up in an aggregate")]
    NotKeptUp(String),
    /// An aggregate that is not made from a fact and the dimensions that it points to.
    #[error("{0}")]
    BadJoin(String),
    /// A group column that may be NULL.
    #[error("group column `{0}` may be NULL")]
    NullableGroup(String),
    /// An aggregate whose `key:` is not what its SQL groups by.
    #[error("key of aggregate `{model}` is not what its query groups by ({groups})")]
    KeyNotGroup {
        /// The model.
        model: String,
        /// The query's group columns.
        groups: String,
    },
    /// A part of a view's SQL that cannot be checked without a warehouse.
    #[error("{0} is not allowed in a view")]
    BadView(String),
}

fn within(parent: &str) -> String {
    if parent.is_empty() { String::new() } else { format!(" in `{parent}`") }
}

impl Diagnose for Fault {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix) = match self {
            Self::Unreadable { .. } => (
                "W1001",
                "the project's folder or one of its files is missing or may not be read",
                "name the folder that holds `weir.yaml`, and check its permissions",
            ),
            Self::Syntax(_) => ("W1002", "the text breaks YAML's grammar here", "check indentation, colons and quotes"),
            Self::UnknownKey { .. } => (
                "W1003",
                "only known keys are accepted, so that a misspelt one is not ignored",
                "correct or remove the key",
            ),
            Self::WrongType { .. } => {
                ("W1004", "the value has another shape than this key takes", "write the expected shape")
            }
            Self::MissingKey { .. } => ("W1005", "the key has no default", "add it"),
            Self::Duplicate { .. } => ("W1006", "one of the two would be ignored", "rename or remove one"),
            Self::BadValue { .. } => ("W1007", "the value cannot be used", "write an allowed value"),
            Self::Useless { .. } => ("W1008", "a setting that does nothing misleads its reader", "remove it"),
            Self::UnknownEnvironment(_) => (
                "W1009",
                "each environment has a file `environments/<name>.yaml`",
                "use one that exists, or write its file",
            ),
            Self::UnknownSetting(_) => (
                "W1010",
                "flags take `section.key=value`, variables are named `WEIR__SECTION__KEY`",
                "correct the name, or unset the variable",
            ),
            Self::BadSecret { .. } => (
                "W1011",
                "the reference to a secret has no known form",
                "write `${env:NAME}`, `${file:/path}`, `${aws-sm:NAME#FIELD}` or `${aws-ssm:NAME}`",
            ),
            Self::SecretUnavailable { .. } => (
                "W1012",
                "the secret is not where its reference points",
                "set the variable or write the file, then try again",
            ),
            Self::PlainSecret(_) => (
                "W1013",
                "project files are committed and printed; secrets are not",
                "write a reference such as `${env:NAME}`",
            ),
            Self::UnknownTable(_) => (
                "W1020",
                "no file in `sources/` lists the table",
                "add it to `tables:` of its source, or correct the name",
            ),
            Self::NoContract(_) => (
                "W1021",
                "each table of a source has a file `contracts/<table>.yaml`",
                "write the contract, or remove the table",
            ),
            Self::UnknownColumn { .. } => ("W1022", "the name is not among the declared columns", "correct the name"),
            Self::KeyIsNoColumn { .. } => {
                ("W1023", "a key names declared columns", "declare the column, or correct the key")
            }
            Self::RuleDoesNotFit { .. } => {
                ("W1024", "ranges need ordered types, expressions need text", "use another rule, or another column")
            }
            Self::BadLiteral { .. } => (
                "W1025",
                "a rule's literals are read by the type of its column",
                "write it as the type prints, e.g. `0.000`, `2024-01-31`, `2024-01-31T08:00:00Z`",
            ),
            Self::SqlSyntax(_) => {
                ("W1030", "the text breaks SQL's grammar here", "write one SELECT that DataFusion and Redshift read")
            }
            Self::SqlNotRowWise(_) => (
                "W1031",
                "a model maps each row of one staging table to one row, so that work grows with the change",
                "use column names, literals, operators and scalar functions over one table",
            ),
            Self::ColumnsDiffer(_) => {
                ("W1032", "the YAML beside a query declares exactly its columns, in order", "make the two agree")
            }
            Self::UnknownModel(_) => {
                ("W1033", "no file in `models/curated/` has that name", "write the model, or correct the name")
            }
            Self::Cycle(_) => ("W1034", "none of them could be built first", "remove one of the references"),
            Self::ReadsModel { .. } => (
                "W1035",
                "a curated model reads one staging table; models over models do not exist yet",
                "read `staging.<table>`, and point to dimensions in the YAML",
            ),
            Self::NoTwin(..) => (
                "W1036",
                "a model is a query and a YAML file of the same name",
                "write the other file, or remove this one",
            ),
            Self::KeyNotSourceKey { .. } => (
                "W1037",
                "a model has one row per row of its table, so both have the same key",
                "select the table's key columns unchanged, and name them all in `key:`",
            ),
            Self::NotSelectable(_) => {
                ("W1045", "a selection names staging tables and curated models", "correct the name")
            }
            Self::NotKeptUp(_) => (
                "W1080",
                "an aggregate is kept up by adding what comes and taking back what goes, so that work grows with the \
                 change",
                "use SUM, COUNT, columns and scalar functions over one fact and its dimensions; the rest belongs in a \
                 model of kind view",
            ),
            Self::BadJoin(_) => (
                "W1081",
                "each row of the fact must find exactly one row of each joined table, or sums would count it twice",
                "select FROM curated.<fact> and JOIN its dimensions ON <surrogate key> = <key column of the fact>",
            ),
            Self::NullableGroup(_) => (
                "W1082",
                "group columns are the table's key, in the lake and in the warehouse, and a key has no NULL; members \
                 that are unknown or inferred have NULL in their attributes",
                "say what stands there instead: COALESCE(column, '(none)')",
            ),
            Self::BadView(_) => (
                "W1084",
                "a view is checked against the models before a warehouse sees it",
                "write one SELECT over `curated.<model>` with JOIN, WHERE, GROUP BY and HAVING",
            ),
            Self::KeyNotGroup { .. } => {
                ("W1083", "an aggregate has one row per group", "name exactly the query's group columns in `key:`")
            }
        };
        Diagnosis { code: Code(code), cause, fix, retry: Retry::AfterConfiguration }
    }
}

/// Where a fault stands. Lines and columns count from 1; 0 where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Path relative to the project, or the name of a flag or variable.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
    /// The line's text, for the excerpt; none where it could hold a secret.
    pub excerpt: Option<String>,
    /// Characters to underline.
    pub width: usize,
}

impl Place {
    /// A whole file, or something that has no lines.
    pub fn whole(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// A stretch of one line of a text.
    pub fn at(file: &str, text: &str, line: usize, column: usize, width: usize) -> Self {
        let found = line.checked_sub(1).and_then(|index| text.lines().nth(index));
        let excerpt = found.filter(|line| !may_hold_a_secret(line)).map(str::to_owned);
        Self { file: file.to_owned(), line, column, excerpt, width: width.max(1) }
    }

    /// What is wrong here, as a person reads it: message, place, excerpt, cause, and `fix` or else the general one.
    pub fn render(&self, diagnosis: &Diagnosis, message: &str, fix: Option<&str>) -> String {
        let mut out = String::new();
        let gutter = " ".repeat(self.line.to_string().len());
        // Writing to a string does not fail.
        let _ = writeln!(out, "error[{}]: {message}", diagnosis.code);
        let _ = writeln!(out, "{gutter}--> {self}");
        if let Some(line) = &self.excerpt {
            let before = " ".repeat(self.column.saturating_sub(1));
            let longest = line.chars().count().saturating_sub(self.column.saturating_sub(1)).max(1);
            let marks = "^".repeat(self.width.min(longest));
            let _ = writeln!(out, "{gutter} |");
            let _ = writeln!(out, "{} | {line}", self.line);
            let _ = writeln!(out, "{gutter} | {before}{marks}");
        }
        let _ = writeln!(out, "{gutter} = cause: {}", diagnosis.cause);
        let _ = writeln!(out, "{gutter} = fix: {}", fix.unwrap_or(diagnosis.fix));
        out
    }
}

/// An excerpt of such a line is not printed: someone may have written a secret there.
fn may_hold_a_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let url_with_user = lower.find("://").is_some_and(|at| lower[at..].contains('@'));
    url_with_user || ["password", "secret", "token", ".key", "jaas"].iter().any(|word| lower.contains(word))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// A fault, its place, and what might have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub fault: Fault,
    /// Where.
    pub place: Place,
    /// More than the fault's general fix, e.g. "did you mean `max_wait`?".
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(fault: Fault, place: Place) -> Self {
        Self { fault, place, hint: None }
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The problem as a person reads it.
    pub fn render(&self) -> String {
        self.place.render(&self.fault.diagnosis(), &self.fault.to_string(), self.hint.as_deref())
    }
}

/// Everything that is wrong with a project: never empty, sorted by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectError {
    /// The problems.
    pub problems: Vec<Problem>,
}

impl ProjectError {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems.dedup();
        Self { problems }
    }
}

impl From<Problem> for ProjectError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ProjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}", problem.render())?;
        }
        match self.problems.len() {
            1 => f.write_str("1 problem in the project's files"),
            n => write!(f, "{n} problems in the project's files"),
        }
    }
}

impl std::error::Error for ProjectError {}

/// Of the first problem; the text lists all of them with their own codes.
impl Diagnose for ProjectError {
    fn diagnosis(&self) -> Diagnosis {
        match self.problems.first() {
            Some(problem) => problem.fault.diagnosis(),
            None => Fault::Syntax(String::new()).diagnosis(),
        }
    }
}

/// "did you mean `x`?" for the closest of the candidates, or the list of all when there are few.
pub(crate) fn suggest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let lower = given.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    let near = |candidate: &str| strsim::damerau_levenshtein(&lower, candidate) <= (lower.len() / 3).max(1);
    let best = candidates.iter().map(|c| (likeness(c), *c)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, candidate)) if likeness >= 0.8 || near(candidate) => {
            Some(format!("did you mean `{candidate}`?"))
        }
        Some(_) if candidates.len() <= 24 => Some(format!("use one of: {}", candidates.join(", "))),
        _ => None,
    }
}
