//! Roles and grants, as migrations write them.

use super::{Fixture, failure, rows};

const RELATIONS: &str = "SELECT identity_name, namespace_name, relation_name, privilege_type FROM svv_relation_privileges ORDER BY 1, 2, 3, 4";

#[test]
fn what_roles_are_granted_is_kept_and_shown() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE analytics.a (x INT); CREATE TABLE analytics.b (x INT); CREATE ROLE reader").unwrap();
    session.run("CREATE ROLE writer; GRANT USAGE, CREATE ON SCHEMA analytics TO ROLE writer").unwrap();
    session.run("GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO ROLE reader, ROLE writer").unwrap();
    session
        .run("GRANT INSERT, UPDATE ON TABLE a TO ROLE writer; REVOKE SELECT ON analytics.b FROM ROLE writer")
        .unwrap();
    let found = ["reader|analytics|a|SELECT", "reader|analytics|b|SELECT", "writer|analytics|a|INSERT"];
    let found: Vec<&str> =
        found.into_iter().chain(["writer|analytics|a|SELECT", "writer|analytics|a|UPDATE"]).collect();
    assert_eq!(rows(&mut session, RELATIONS), found);
    let schemas = "SELECT identity_name, namespace_name, privilege_type FROM svv_schema_privileges ORDER BY 3";
    assert_eq!(rows(&mut session, schemas), ["writer|analytics|CREATE", "writer|analytics|USAGE"]);
    session.run("DROP ROLE writer").unwrap();
    assert_eq!(rows(&mut session, "SELECT role_name FROM svv_roles"), ["reader"]);
    assert_eq!(rows(&mut session, RELATIONS).len(), 2);
}

#[test]
fn a_table_that_is_made_anew_has_what_its_schema_grants_by_default() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE ROLE r; CREATE TABLE analytics.t (x INT); GRANT DELETE ON analytics.t TO ROLE r").unwrap();
    session.run("ALTER DEFAULT PRIVILEGES IN SCHEMA analytics GRANT SELECT ON TABLES TO ROLE r").unwrap();
    assert_eq!(rows(&mut session, RELATIONS), ["r|analytics|t|DELETE"]);
    session.run("DROP TABLE analytics.t; CREATE TABLE analytics.t (x INT)").unwrap();
    assert_eq!(rows(&mut session, RELATIONS), ["r|analytics|t|SELECT"]);
}

#[test]
fn a_grant_to_nobody_on_nothing_or_of_nothing_is_refused() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (x INT); CREATE ROLE r").unwrap();
    for (text, state) in [
        ("CREATE ROLE r", "42P07"),
        ("GRANT SELECT ON t TO ROLE nobody", "42P01"),
        ("GRANT SELECT ON missing TO ROLE r", "42P01"),
        ("GRANT USAGE ON SCHEMA missing TO ROLE r", "42P01"),
        ("GRANT FLY ON t TO ROLE r", "0A000"),
        ("GRANT SELECT ON t TO somebody", "0A000"),
        ("GRANT SELECT ON t TO GROUP some", "0A000"),
        ("DROP ROLE nobody", "42P01"),
    ] {
        let told = failure(&mut session, text);
        assert!(told.starts_with(state), "{text}: {told}");
    }
}
