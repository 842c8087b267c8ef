//! Statements that change the catalog: the engine's part and Redshift's own properties, in one transaction.

use super::Session;
use crate::error::{EngineFailure, WarehouseError};
use crate::outcome::{Outcome, Tag};
use crate::statement::Dropped;
use crate::statement::create_table::CreateTable;
use crate::statement::streaming::{ExternalFunction, ExternalSchema, StreamingView, TOPIC_COLUMNS};
use crate::statement::text::{Name, literal, quoted};

impl Session {
    pub(super) fn create_table(&mut self, table: &CreateTable) -> Result<Outcome, WarehouseError> {
        let (schema, name) = (table.name.schema_or_default().to_owned(), table.name.name.clone());
        let columns = &table.properties.columns;
        self.atomically(|session| {
            let existed = session.exists(&schema, &name)?;
            session.connection.execute_batch(&table.sql)?;
            if existed || table.temporary {
                return Ok(());
            }
            let list = |items: &[String]| {
                format!("[{}]::VARCHAR[]", items.iter().map(|item| literal(item)).collect::<Vec<_>>().join(", "))
            };
            let properties = &table.properties;
            let distkey = properties.distkey.as_ref().map_or("NULL".to_owned(), |key| literal(key));
            session.forget(&schema, &name)?;
            session.grant_by_default(&schema, &name)?;
            session.connection.execute_batch(&format!(
                "INSERT INTO weir_catalog.tables VALUES ({}, {}, {}, {distkey}, {}, {}, {})",
                literal(&schema),
                literal(&name),
                literal(&properties.diststyle),
                literal(&properties.sortstyle),
                list(&properties.sortkey),
                list(&properties.primary_key)
            ))?;
            for column in columns {
                session.connection.execute(
                    "INSERT INTO weir_catalog.columns VALUES (?, ?, ?, ?, ?)",
                    [&schema, &name, &column.name, &column.redshift_type, &column.encoding],
                )?;
            }
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE TABLE")))
    }

    pub(crate) fn exists(&self, schema: &str, name: &str) -> Result<bool, WarehouseError> {
        let count: i64 = self.connection.query_row(
            "SELECT count(*) FROM weir_pg.objects WHERE schema_name = ? AND name = ?",
            [schema, name],
            |row| row.get(0),
        )?;
        Ok(count > 0)
    }

    fn forget(&self, schema: &str, name: &str) -> Result<(), WarehouseError> {
        for table in ["tables", "columns"] {
            let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ? AND table_name = ?");
            self.connection.execute(&sql, [schema, name])?;
        }
        let sql = "DELETE FROM weir_catalog.grants WHERE kind = 'relation' AND schema_name = ? AND object_name = ?";
        self.connection.execute(sql, [schema, name])?;
        Ok(())
    }

    pub(super) fn create_external_schema(&mut self, schema: &ExternalSchema) -> Result<Outcome, WarehouseError> {
        let tag = Outcome::done(Tag::plain("CREATE SCHEMA"));
        let found: i64 = self.connection.query_row(
            "SELECT count(*) FROM weir_pg.pg_namespace WHERE nspname = ?",
            [&schema.name],
            |row| row.get(0),
        )?;
        if found > 0 {
            if schema.if_not_exists {
                return Ok(tag);
            }
            return Err(duplicate(format!("schema \"{}\" already exists", schema.name)));
        }
        self.connection.execute(
            "INSERT INTO weir_catalog.external_schemas VALUES (?, ?, ?)",
            [&schema.name, &schema.uri, &schema.authentication],
        )?;
        Ok(tag)
    }

    pub(super) fn create_streaming_view(&mut self, view: &StreamingView) -> Result<Outcome, WarehouseError> {
        let (schema, name) = (view.name.schema_or_default().to_owned(), view.name.name.clone());
        self.atomically(|session| {
            let declared: i64 = session.connection.query_row(
                "SELECT count(*) FROM weir_catalog.external_schemas WHERE schema_name = ?",
                [&view.external_schema],
                |row| row.get(0),
            )?;
            if declared == 0 {
                return Err(WarehouseError::Engine {
                    kind: EngineFailure::MissingRelation,
                    message: format!("external schema \"{}\" does not exist", view.external_schema),
                });
            }
            let columns: Vec<_> =
                TOPIC_COLUMNS.iter().filter(|(name, ..)| view.columns.iter().any(|c| c == name)).collect();
            let list: Vec<String> =
                columns.iter().map(|(name, _, engine)| format!("{} {engine}", quoted(name))).collect();
            session.connection.execute_batch(&format!(
                "CREATE TABLE {}.{} ({})",
                quoted(&schema),
                quoted(&name),
                list.join(", ")
            ))?;
            session.forget(&schema, &name)?;
            for (column, redshift, _) in columns {
                session.connection.execute(
                    "INSERT INTO weir_catalog.columns VALUES (?, ?, ?, ?, '')",
                    [schema.as_str(), name.as_str(), column, redshift],
                )?;
            }
            let columns: Vec<String> = view.columns.iter().map(|column| literal(column)).collect();
            session.connection.execute_batch(&format!(
                "INSERT INTO weir_catalog.streaming_views VALUES ({}, {}, {}, {}, {}, [{}])",
                literal(&schema),
                literal(&name),
                literal(&view.external_schema),
                literal(&view.topic),
                view.auto_refresh,
                columns.join(", ")
            ))?;
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE MATERIALIZED VIEW")))
    }

    pub(super) fn create_external_function(&mut self, function: &ExternalFunction) -> Result<Outcome, WarehouseError> {
        if !self.shared.can_decode {
            return Err(WarehouseError::unsupported(format!(
                "external function {} in a warehouse that was opened without a schema registry",
                function.name
            )));
        }
        self.atomically(|session| {
            let declared: i64 = session.connection.query_row(
                "SELECT count(*) FROM weir_catalog.functions WHERE function_name = ?",
                [&function.name],
                |row| row.get(0),
            )?;
            if declared > 0 && !function.or_replace {
                return Err(duplicate(format!("function {} already exists", function.name)));
            }
            session
                .connection
                .execute("DELETE FROM weir_catalog.functions WHERE function_name = ?", [&function.name])?;
            session
                .connection
                .execute("INSERT INTO weir_catalog.functions VALUES (?, ?)", [&function.name, &function.lambda])?;
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE FUNCTION")))
    }

    pub(super) fn define(&mut self, sql: &str, tag: &str, dropped: &[Dropped]) -> Result<Outcome, WarehouseError> {
        self.atomically(|session| {
            for object in dropped {
                session.check_drop(object)?;
            }
            let external: Vec<bool> = dropped
                .iter()
                .map(|object| match object {
                    Dropped::Schema(name) => session.is_external(name),
                    _ => Ok(false),
                })
                .collect::<Result<_, _>>()?;
            if !external.contains(&true) {
                session.connection.execute_batch(sql)?;
            }
            for object in dropped {
                session.forget_object(object)?;
            }
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain(tag)))
    }

    fn is_external(&self, schema: &str) -> Result<bool, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_catalog.external_schemas WHERE schema_name = ?";
        Ok(self.connection.query_row(sql, [schema], |row| row.get::<_, i64>(0))? > 0)
    }

    fn is_streaming(&self, name: &Name) -> Result<bool, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_catalog.streaming_views WHERE view_name = ? AND schema_name = coalesce(?, schema_name)";
        Ok(self.connection.query_row(sql, duckdb::params![name.name, name.schema], |row| row.get::<_, i64>(0))? > 0)
    }

    fn check_drop(&self, object: &Dropped) -> Result<(), WarehouseError> {
        let wrong = |message: String| WarehouseError::Engine { kind: EngineFailure::MissingRelation, message };
        match object {
            Dropped::Relation(name) if self.is_streaming(name)? => {
                Err(wrong(format!("\"{name}\" is a materialized view: use DROP MATERIALIZED VIEW")))
            }
            Dropped::StreamingView(name) if !self.is_streaming(name)? => {
                let any = self.exists(name.schema.as_deref().unwrap_or("public"), &name.name)?;
                if any { Err(wrong(format!("\"{name}\" is no materialized view"))) } else { Ok(()) }
            }
            Dropped::Schema(name) if name.starts_with("weir_") || name == "main" => {
                Err(wrong(format!("schema \"{name}\" does not exist")))
            }
            _ => Ok(()),
        }
    }

    fn forget_object(&self, object: &Dropped) -> Result<(), WarehouseError> {
        match object {
            Dropped::Relation(name) => self.forget(name.schema_or_default(), &name.name),
            Dropped::StreamingView(name) => {
                let schema = name.schema_or_default();
                self.forget(schema, &name.name)?;
                for table in ["streaming_views", "stream_positions"] {
                    let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ? AND view_name = ?");
                    self.connection.execute(&sql, [schema, name.name.as_str()])?;
                }
                Ok(())
            }
            Dropped::Schema(name) => {
                for table in ["tables", "columns", "streaming_views", "stream_positions", "external_schemas", "grants"]
                {
                    let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ?");
                    self.connection.execute(&sql, [name])?;
                }
                Ok(())
            }
        }
    }
}

fn duplicate(message: String) -> WarehouseError {
    WarehouseError::Engine { kind: EngineFailure::Duplicate, message }
}
