//! What a disaster may cost, and where the lake's copy is.

use std::time::Duration;

use weir_project::load;

use super::pipeline;

#[test]
fn objectives_are_times_and_a_replica_is_a_place_for_a_lake() {
    let pipeline = pipeline();
    let told = |recovery: &str| {
        let indented = recovery.replace('\n', "\n  ");
        pipeline.write("environments/dev.yaml", &format!("recovery:\n  {indented}\n"));
        pipeline.lines()
    };
    assert_eq!(told("rto: 4h\nrpo: 15m\nreplica: s3://copy/zones\nreplica_region: eu-west-1"), "");
    let declared = load(pipeline.path(), "dev", &[]).expect("right").recovery;
    let hours = |hours: f64| Some(Duration::from_secs_f64(hours * 3600.0));
    assert_eq!((declared.rto, declared.rpo), (hours(4.0), hours(0.25)));
    for (wrong, words) in [
        ("rto: soon", "`recovery.rto`: `soon` is no duration"),
        ("rpo: 0s", "`recovery.rpo`: 0s is too short"),
        ("rpt: 1h", "unknown key `rpt` in `recovery` (did you mean `rpo`?)"),
        ("replica: ftp://copy", "`recovery.replica`: `ftp://` is no place for a lake"),
        ("replica: copy\nreplica_region: x", "`recovery.replica_region` does nothing: `recovery.replica` is no bucket"),
        ("replica_region: x", "`recovery.replica_region` does nothing"),
    ] {
        let told = told(wrong);
        assert!(told.contains(words), "{wrong}\n{told}");
    }
}
