//! How the stream is reached, and what its schema changes may do.

use weir_project::load;

use super::pipeline;

#[test]
fn settings_of_glue_and_of_iam_go_together() {
    let pipeline = pipeline();
    let told = |stream: &str| {
        let indented = stream.replace('\n', "\n  ");
        pipeline.write("environments/dev.yaml", &format!("stream:\n  {indented}\n"));
        pipeline.lines()
    };
    let right = "brokers: b:9098\nsecurity: iam\nregion: eu-central-1\nregistry: glue";
    assert_eq!(told(right), "");
    assert_eq!(told(&format!("{right}\nregistry_endpoint: https://vpce-1.glue.eu-central-1.vpce.amazonaws.com")), "");
    for (wrong, words) in [
        ("registry: glue", "`stream.registry`: `glue` needs a region (set `stream.region`"),
        ("brokers: b:9098\nsecurity: iam", "`stream.security`: `iam` needs a region (set `stream.region`"),
        ("registry: glue\nregion: eu/../x", "`stream.region`: it is no region"),
        ("registry: glue\nregion: x\nregistry_endpoint: glue.local", "`stream.registry_endpoint`: it is no URL"),
        ("security: iam\nregion: x", "`stream.security` does nothing: the embedded broker"),
        ("brokers: b:9098\nsecurity: plain", "`stream.security`"),
        ("region: x", "`stream.region` does nothing: neither"),
        ("registry_endpoint: https://x", "`stream.registry_endpoint` does nothing: `stream.registry` is not `glue`"),
        (
            "brokers: b:9098\nsecurity: iam\nregion: x\nclient:\n  sasl.mechanism: PLAIN",
            "`stream.client.sasl.mechanism` does nothing: `stream.security: iam`",
        ),
    ] {
        let told = told(wrong);
        assert!(told.contains(words), "{wrong}\n{told}");
    }
}

#[test]
fn a_policy_on_schema_changes_is_one_of_three_words() {
    let pipeline = pipeline();
    let contract =
        "key: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n  - {name: price, type: money, nullable: true}\n";
    let policy = |words: &str| {
        pipeline.write("contracts/book.yaml", &format!("{contract}{words}"));
        load(pipeline.path(), "dev", &[]).map(|project| project.tables[0].schema_changes)
    };
    use weir_project::SchemaChanges::{Evolve, Hold, Stop};
    for (words, wanted) in [
        ("", Evolve),
        ("schema_changes: evolve\n", Evolve),
        ("schema_changes: hold\n", Hold),
        ("schema_changes: stop\n", Stop),
    ] {
        assert_eq!(policy(words).expect("right"), wanted);
    }
    assert!(policy("schema_changes: ignore\n").is_err());
}
