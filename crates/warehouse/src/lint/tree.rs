//! Rules that the syntax tree shows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterTableOperation, ColumnDef, ColumnOption, CreateTable, DataType, Distinct, Expr, Ident, Merge, MergeAction,
    MergeClauseKind, ObjectName, Query, Select, SetExpr, Spanned, Statement, TableConstraint, TableFactor, Visit,
    Visitor,
};
use sqlparser::tokenizer::{Location, Span};

use super::reserved::{is_reserved, is_system_column, is_value};
use super::words::Words;
use super::{Finding, Rule, rule, streaming};
use crate::statement::create_table::{self, Properties};
use crate::statement::streaming::after_as;
use crate::statement::text::Piece;
use crate::statement::{merge, syntax};

/// Functions of PostgreSQL that Redshift's manual names as missing.
const FUNCTIONS: &[&str] = &[
    "array_agg",
    "bit_length",
    "clock_timestamp",
    "convert_from",
    "convert_to",
    "corr",
    "covar_pop",
    "covar_samp",
    "div",
    "every",
    "format",
    "generate_series",
    "generate_subscripts",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "overlay",
    "pg_sleep",
    "quote_nullable",
    "regexp_matches",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "setseed",
    "string_agg",
    "transaction_timestamp",
    "width_bucket",
    "xml_agg",
];

/// Types of PostgreSQL that Redshift's manual names as missing.
const TYPES: &[&str] = &[
    "BIGSERIAL",
    "BIT",
    "BIT VARYING",
    "BOX",
    "BYTEA",
    "CIDR",
    "CIRCLE",
    "ENUM",
    "INET",
    "JSON",
    "JSONB",
    "LINE",
    "LSEG",
    "MACADDR",
    "MONEY",
    "PATH",
    "POINT",
    "POLYGON",
    "SERIAL",
    "SMALLSERIAL",
    "TSQUERY",
    "TSVECTOR",
    "TXID_SNAPSHOT",
    "UUID",
    "XML",
];

/// What the tree shows; nothing for a text that the parser does not read.
pub fn check(piece: &Piece, words: &Words<'_>) -> Vec<Finding> {
    let mut rules = Rules { words, findings: Vec::new(), inserts_values: false };
    let _: ControlFlow<()> = if words.begins("CREATE MATERIALIZED VIEW") {
        let Ok(query) = after_as(piece) else { return Vec::new() };
        if streaming::reads_topic(&query) {
            rules.findings = streaming::check(&query, words);
        }
        query.visit(&mut rules)
    } else if create_table::begins(piece) {
        let Ok((table, attributes)) = create_table::read(piece) else { return Vec::new() };
        rules.create_table(&table, &create_table::properties(&table, &attributes));
        table.visit(&mut rules)
    } else {
        let Ok(tree) = syntax(piece.tokens.clone()) else { return Vec::new() };
        rules.statement(&tree);
        tree.visit(&mut rules)
    };
    rules.findings
}

struct Rules<'a> {
    words: &'a Words<'a>,
    findings: Vec<Finding>,
    /// The next VALUES is an INSERT's.
    inserts_values: bool,
}

impl Rules<'_> {
    /// At a node's place, else where the statement begins.
    fn add(&mut self, rule: &'static Rule, what: impl Into<String>, span: Span) {
        let place = if span.start == Location::empty() { self.words.place(None) } else { span.start };
        self.findings.push(Finding::of(rule, what).at(place));
    }

    /// At the first of these words.
    fn add_at(&mut self, rule: &'static Rule, what: impl Into<String>, words: &str) {
        let place = self.words.place(self.words.find(words));
        self.findings.push(Finding::of(rule, what).at(place));
    }

    fn statement(&mut self, tree: &Statement) {
        match tree {
            Statement::Insert(insert) => {
                let source = insert.source.as_ref().map(|source| source.body.as_ref());
                self.inserts_values = matches!(source, Some(SetExpr::Values(_)));
                if insert.on.is_some() {
                    self.add_at(&rule::ON_CONFLICT, "INSERT .. ON CONFLICT", "ON CONFLICT");
                }
                self.returning(insert.returning.is_some());
            }
            Statement::Update(update) => self.returning(update.returning.is_some()),
            Statement::Delete(delete) => self.returning(delete.returning.is_some()),
            Statement::Merge(merge) => self.merge(merge),
            Statement::Truncate(truncate) => {
                if let [_, second, ..] = truncate.table_names.as_slice() {
                    self.add(&rule::ONE_TRUNCATE, "TRUNCATE of several tables", second.name.span());
                }
            }
            Statement::AlterTable(alter) => self.alter_table(&alter.operations),
            _ => {}
        }
    }

    fn returning(&mut self, is_there: bool) {
        if is_there {
            self.add_at(&rule::RETURNING, "RETURNING", "RETURNING");
        }
    }

    fn merge(&mut self, merge: &Merge) {
        self.returning(merge.output.is_some());
        match &merge.table {
            TableFactor::Table { alias: None, .. } => {}
            TableFactor::Table { alias: Some(alias), .. } => {
                self.add(&rule::MERGE_TARGET, "an alias of MERGE's target", alias.name.span);
            }
            other => self.add(&rule::MERGE_TARGET, "this target of MERGE", other.span()),
        }
        match &merge.source {
            TableFactor::Table { .. } => {}
            TableFactor::Derived { subquery, .. } if subquery.with.is_none() => {}
            TableFactor::Derived { subquery, .. } => {
                self.add(&rule::MERGE_SOURCE, "WITH in MERGE", subquery.span());
            }
            other => self.add(&rule::MERGE_SOURCE, "this source of MERGE", other.span()),
        }
        let (mut matched, mut not_matched, mut odd) = (0, 0, false);
        for clause in &merge.clauses {
            let condition = match (&clause.clause_kind, &clause.action) {
                (MergeClauseKind::Matched, MergeAction::Update(update)) => {
                    matched += 1;
                    update.update_predicate.is_some() || update.delete_predicate.is_some()
                }
                (MergeClauseKind::Matched, MergeAction::Delete { .. }) => {
                    matched += 1;
                    false
                }
                (MergeClauseKind::NotMatched, MergeAction::Insert(insert)) => {
                    not_matched += 1;
                    insert.insert_predicate.is_some()
                }
                _ => {
                    odd = true;
                    self.add(&rule::MERGE_CLAUSES, "this clause of MERGE", clause.span());
                    false
                }
            };
            if clause.predicate.is_some() {
                odd = true;
                self.add(&rule::MERGE_CLAUSES, "WHEN .. AND in MERGE", clause.span());
            }
            if condition {
                odd = true;
                self.add(&rule::MERGE_CLAUSES, "WHERE in MERGE", clause.span());
            }
        }
        if !odd && (matched, not_matched) != (1, 1) {
            self.add_at(&rule::MERGE_CLAUSES, "this set of MERGE's clauses", "WHEN");
        }
        if merge::equalities(&merge.on).is_none() {
            self.add(&rule::MERGE_CONDITION, "this ON of MERGE", merge.on.span());
        }
    }

    fn create_table(&mut self, table: &CreateTable, properties: &Properties) {
        for column in &table.columns {
            self.column(column);
        }
        for constraint in &table.constraints {
            if let TableConstraint::Check(_) = constraint {
                self.add(&rule::CHECK, format!("constraint {constraint}"), constraint.span());
            }
        }
        for column in &table.columns {
            let name = column.name.value.to_lowercase();
            let is_key = properties.sortkey.contains(&name) || properties.distkey.as_ref() == Some(&name);
            if is_key && column.data_type.to_string().eq_ignore_ascii_case("super") {
                self.add(&rule::SUPER_KEY, "a DISTKEY or SORTKEY of type SUPER", column.name.span);
            }
        }
    }

    fn column(&mut self, column: &ColumnDef) {
        self.name(&column.name, &column.name.value, false);
        if is_system_column(&column.name.value) {
            self.add(&rule::SYSTEM_COLUMN, format!("column \"{}\"", column.name.value), column.name.span);
        }
        self.data_type(&column.data_type, column.name.span);
        for option in &column.options {
            if let ColumnOption::Check(check) = &option.option {
                self.add(&rule::CHECK, format!("constraint {check}"), option.span());
            }
        }
    }

    fn alter_table(&mut self, operations: &[AlterTableOperation]) {
        for operation in operations {
            if let AlterTableOperation::AddColumn { column_def, .. } = operation {
                self.column(column_def);
            }
            if let AlterTableOperation::DropColumn { column_names, .. } = operation
                && let [_, second, ..] = column_names.as_slice()
            {
                self.add(&rule::ONE_ALTERATION, "DROP of several columns", second.span);
            }
        }
        let alone = |operation: &AlterTableOperation| {
            matches!(
                operation,
                AlterTableOperation::AddColumn { .. }
                    | AlterTableOperation::DropColumn { .. }
                    | AlterTableOperation::RenameColumn { .. }
                    | AlterTableOperation::RenameTable { .. }
            )
        };
        if operations.len() > 1 && operations.iter().any(alone) {
            self.add(&rule::ONE_ALTERATION, "several changes in one ALTER TABLE", operations[1].span());
        }
    }

    fn name(&mut self, ident: &Ident, full: &str, may_be_value: bool) {
        let word = &ident.value;
        if ident.quote_style.is_none() && is_reserved(word) && !(may_be_value && is_value(word)) {
            self.add(&rule::RESERVED_WORD, format!("the name {full}"), ident.span);
        }
    }

    fn data_type(&mut self, kind: &DataType, span: Span) {
        let text = kind.to_string().to_uppercase();
        let (head, arguments) = text.split_once('(').unwrap_or((text.as_str(), ""));
        let head = head.trim();
        if head.ends_with(']') || text.ends_with(']') || head.starts_with("ARRAY") || TYPES.contains(&head) {
            self.add(&rule::DATA_TYPE, format!("type {text}"), span);
            return;
        }
        let mut sizes = arguments.trim_end_matches(|c: char| !c.is_ascii_digit()).split(',');
        let mut size = || sizes.next().and_then(|size| size.trim().parse::<u64>().ok());
        let too_large = match head {
            "VARCHAR" | "CHARACTER VARYING" | "NVARCHAR" => size() > Some(65_535),
            "CHAR" | "CHARACTER" | "NCHAR" => size() > Some(4_096),
            "DECIMAL" | "NUMERIC" => size() > Some(38) || size() > Some(37),
            _ => false,
        };
        if too_large {
            self.add(&rule::TYPE_SIZE, format!("type {text}"), span);
        }
    }
}

impl Visitor for Rules<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            self.add_at(&rule::FOR_UPDATE, "FOR UPDATE", "FOR");
        }
        if let SetExpr::Values(values) = query.body.as_ref()
            && !std::mem::take(&mut self.inserts_values)
        {
            self.add(&rule::CONSTANT_TABLE, "VALUES as a table", values.span());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if let Some(Distinct::On(_)) = &select.distinct {
            self.add(&rule::DISTINCT_ON, "DISTINCT ON", select.select_token.0.span);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { args: Some(_), name, .. } => {
                self.add(&rule::TABLE_FUNCTION, format!("table function {name}"), name.span());
            }
            TableFactor::Derived { lateral: true, .. } => self.add_at(&rule::LATERAL, "LATERAL", "LATERAL"),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. } => {}
            other => self.add(&rule::TABLE_FUNCTION, "this kind of FROM item", other.span()),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let Some(first) = relation.0.first().and_then(|part| part.as_ident()) {
            self.name(first, &relation.to_string(), false);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.name(ident, &ident.value, true),
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if FUNCTIONS.contains(&name.trim_start_matches("pg_catalog.")) {
                    self.add(&rule::FUNCTION, format!("function {}", function.name), function.name.span());
                }
            }
            Expr::IsDistinctFrom(left, _) => self.add(&rule::DISTINCT_FROM, "IS DISTINCT FROM", left.span()),
            Expr::IsNotDistinctFrom(left, _) => self.add(&rule::DISTINCT_FROM, "IS NOT DISTINCT FROM", left.span()),
            Expr::Array(_) => self.add(&rule::ARRAY, "ARRAY[..]", expr.span()),
            Expr::Cast { data_type, expr: inner, .. } => self.data_type(data_type, inner.span()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
