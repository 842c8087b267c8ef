//! Which warehouse is meant, and what it gets once.

use super::pipeline;

#[test]
fn a_redshift_is_named_once_with_database_region_and_a_lake_that_it_reads() {
    let pipeline = pipeline();
    let with = |warehouse: &str| {
        let stream = "stream: {brokers: 'b:9092', registry: 'http://registry:8081'}\n";
        pipeline.write("environments/dev.yaml", &format!("{stream}warehouse: {{target: redshift, {warehouse}}}\n"));
        pipeline.lines()
    };
    let right = "workgroup: shop-qa, database: shop, region: eu-central-1";
    assert_eq!(with(&format!("{right}, endpoint: 'http://127.0.0.1:8000'")), "");
    let mut told = vec![with("iam_role: default")];
    told.push(with("workgroup: Shop, cluster: shop, database: 'a b', host: shop, region: EU"));
    told.push(with(&format!("{right}, memory: 1GiB, port: 5439, mirrors: false, auth: iam")));
    pipeline.write("environments/dev.yaml", "warehouse: {workgroup: shop, timeout: 1h}\n");
    told.push(pipeline.lines());
    pipeline.write("environments/dev.yaml", "warehouse: {target: 'postgres://u@h:5439/d?sslmode=disable'}\n");
    told.push(pipeline.lines());
    insta::assert_snapshot!(told.join("\n\n"), @r"
    environments/dev.yaml:2:21 W1007 `warehouse.target`: `redshift` needs a name (set `warehouse.workgroup` (Serverless) or `warehouse.cluster`)
    environments/dev.yaml:2:21 W1007 `warehouse.target`: `redshift` needs a database (set `warehouse.database`)
    environments/dev.yaml:2:21 W1007 `warehouse.target`: Redshift cannot read a lake in a folder (set `lake.root` to `s3://bucket/prefix`, or leave the warehouse embedded)
    environments/dev.yaml:2:21 W1007 `warehouse.target`: `redshift` needs a region (set `warehouse.region`, e.g. `eu-central-1`)

    environments/dev.yaml:2:21 W1007 `warehouse.target`: Redshift cannot read a lake in a folder (set `lake.root` to `s3://bucket/prefix`, or leave the warehouse embedded)
    environments/dev.yaml:2:57 W1008 `warehouse.cluster` does nothing: `warehouse.workgroup` names another Redshift (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:2:73 W1007 `warehouse.database`: it names no database (use letters, digits, `_` and `-`, 64 at most)
    environments/dev.yaml:2:86 W1007 `warehouse.host`: it is no address (write `host:port`, e.g. with port 5439)
    environments/dev.yaml:2:100 W1007 `warehouse.region`: it is no region (write one such as `eu-central-1`)

    environments/dev.yaml:2:21 W1007 `warehouse.target`: Redshift cannot read a lake in a folder (set `lake.root` to `s3://bucket/prefix`, or leave the warehouse embedded)
    environments/dev.yaml:2:97 W1008 `warehouse.memory` does nothing: Redshift has its own memory (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:2:109 W1008 `warehouse.port` does nothing: the warehouse is not embedded (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:2:137 W1008 `warehouse.auth` does nothing: without mirrors the warehouse reads no topic (remove it, or move it to the file of an environment that uses it)

    environments/dev.yaml:1:24 W1008 `warehouse.workgroup` does nothing: `warehouse.target` is not `redshift` (remove it, or move it to the file of an environment that uses it)
    environments/dev.yaml:1:39 W1008 `warehouse.timeout` does nothing: the warehouse is embedded (remove it, or move it to the file of an environment that uses it)

    environments/dev.yaml:1:21 W1007 `warehouse.target`: parameters of the address are not read (leave them out: TLS is used always, with a certificate that the system trusts)
    ");
}

#[test]
fn migrations_have_a_number_of_their_own_and_a_name() {
    let pipeline = pipeline();
    for name in ["001_roles", "1_again", "roles", "002_Views", "000_none"] {
        pipeline.write(&format!("warehouse/migrations/{name}.sql"), "SELECT 1;");
    }
    pipeline.write("warehouse/migrations/notes.txt", "x");
    insta::assert_snapshot!(pipeline.lines(), @r"
    warehouse/migrations/000_none.sql W1007 `000_none`: a migration has a number and a name of lower-case letters, digits and `_` (name it as in `001_roles.sql`)
    warehouse/migrations/002_Views.sql W1007 `002_Views`: a migration has a number and a name of lower-case letters, digits and `_` (name it as in `001_roles.sql`)
    warehouse/migrations/1_again.sql W1006 migration `1` is declared twice (rename or remove one)
    warehouse/migrations/notes.txt W1008 `warehouse/migrations/notes.txt` does nothing: only `*.sql` is read in `warehouse/migrations` (remove it)
    warehouse/migrations/roles.sql W1007 `roles`: a migration has a number and a name of lower-case letters, digits and `_` (name it as in `001_roles.sql`)
    ");
}
