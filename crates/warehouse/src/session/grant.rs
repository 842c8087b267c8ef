//! Roles and grants in the catalog.

use super::Session;
use crate::error::{EngineFailure, WarehouseError};
use crate::outcome::{Outcome, Tag};
use crate::statement::grant::{Grant, On};
use crate::statement::text::{Name, literal};

impl Session {
    pub(super) fn grant(&mut self, grant: &Grant) -> Result<Outcome, WarehouseError> {
        let tag = self.atomically(|session| match grant {
            Grant::Create(role) => {
                if session.has_role(role)? {
                    return Err(failed(EngineFailure::Duplicate, format!("role \"{role}\" already exists")));
                }
                session.connection.execute("INSERT INTO weir_catalog.roles VALUES (?)", [role])?;
                Ok("CREATE ROLE")
            }
            Grant::Drop(role) => {
                session.known_role(role)?;
                for table in ["roles", "grants"] {
                    let sql = format!("DELETE FROM weir_catalog.{table} WHERE role_name = ?");
                    session.connection.execute(&sql, [role])?;
                }
                Ok("DROP ROLE")
            }
            Grant::Change { gives, privileges, on, roles } => {
                for role in roles {
                    session.known_role(role)?;
                    for (kind, schema, object) in session.objects(on)? {
                        for privilege in privileges {
                            session.change(*gives, [role, kind, &schema, &object, privilege])?;
                        }
                    }
                }
                Ok(if *gives { "GRANT" } else { "REVOKE" })
            }
        })?;
        Ok(Outcome::done(Tag::plain(tag)))
    }

    fn change(&self, gives: bool, row: [&str; 5]) -> Result<(), WarehouseError> {
        self.connection.execute(
            "DELETE FROM weir_catalog.grants WHERE role_name = ? AND kind = ? AND schema_name = ? AND object_name = ? AND privilege = ?",
            row,
        )?;
        if gives {
            self.connection.execute("INSERT INTO weir_catalog.grants VALUES (?, ?, ?, ?, ?)", row)?;
        }
        Ok(())
    }

    /// Kind, schema and name of what is meant; each must be there.
    fn objects(&self, on: &On) -> Result<Vec<(&'static str, String, String)>, WarehouseError> {
        let schemas = |kind: &'static str, schemas: &[String]| {
            let one = |schema: &String| Ok((kind, self.known_schema(schema)?, String::new()));
            schemas.iter().map(one).collect::<Result<Vec<_>, WarehouseError>>()
        };
        match on {
            On::Schemas(names) => schemas("schema", names),
            On::LaterIn(names) => schemas("later", names),
            On::AllOf(names) => {
                let mut found = Vec::new();
                for schema in names {
                    let schema = self.known_schema(schema)?;
                    let sql = format!("SELECT name FROM weir_pg.objects WHERE schema_name = {}", literal(&schema));
                    let mut statement = self.connection.prepare(&sql)?;
                    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                    for name in rows {
                        found.push(("relation", schema.clone(), name?));
                    }
                }
                Ok(found)
            }
            On::Relations(names) => names.iter().map(|name| self.known_relation(name)).collect(),
        }
    }

    fn known_relation(&self, name: &Name) -> Result<(&'static str, String, String), WarehouseError> {
        let schemas = match &name.schema {
            Some(schema) => vec![schema.as_str()],
            None => vec!["public", "analytics", "staging"],
        };
        for schema in schemas {
            if self.exists(schema, &name.name)? {
                return Ok(("relation", schema.to_owned(), name.name.clone()));
            }
        }
        Err(failed(EngineFailure::MissingRelation, format!("relation \"{name}\" does not exist")))
    }

    fn known_schema(&self, name: &str) -> Result<String, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_pg.pg_namespace WHERE nspname = ?";
        match self.connection.query_row(sql, [name], |row| row.get::<_, i64>(0))? {
            0 => Err(failed(EngineFailure::MissingRelation, format!("schema \"{name}\" does not exist"))),
            _ => Ok(name.to_owned()),
        }
    }

    fn known_role(&self, role: &str) -> Result<(), WarehouseError> {
        if self.has_role(role)? {
            return Ok(());
        }
        Err(failed(EngineFailure::MissingRelation, format!("role \"{role}\" does not exist")))
    }

    fn has_role(&self, role: &str) -> Result<bool, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_catalog.roles WHERE role_name = ?";
        Ok(self.connection.query_row(sql, [role], |row| row.get::<_, i64>(0))? > 0)
    }

    /// Gives a new table or view what roles are to have of such ones in its schema.
    pub(super) fn grant_by_default(&self, schema: &str, name: &str) -> Result<(), WarehouseError> {
        self.connection.execute(
            "INSERT INTO weir_catalog.grants SELECT role_name, 'relation', schema_name, ?, privilege FROM weir_catalog.grants
             WHERE kind = 'later' AND schema_name = ?",
            [name, schema],
        )?;
        Ok(())
    }
}

fn failed(kind: EngineFailure, message: String) -> WarehouseError {
    WarehouseError::Engine { kind, message }
}
