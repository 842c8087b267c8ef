//! kill -9 at any moment: the next start ends with no difference.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_core::failpoint::NAMES;
use weir_testkit::harness::Weir;

use crate::place::{Place, text};

const ROWS: &str = "3000";

/// These have tests of their own.
const NO_PART_OF_A_DEMO: [&str; 9] = [
    "landing.claimed",
    "landing.taken_back",
    "landing.gap_accepted",
    "dlq.",
    "restate.",
    "checkpoint.",
    "retention.",
    "compaction.",
    "vacuum.",
];

fn demo(place: &Place) -> Weir {
    Weir::new(["demo", "--rows", ROWS, "--keep", place.parts().to_str().unwrap()]).dir(place.path())
}

#[test]
fn a_demo_killed_at_any_commit_point_ends_without_a_difference_at_the_next_start() {
    for name in NAMES.iter().filter(|name| !NO_PART_OF_A_DEMO.iter().any(|other| name.starts_with(other))) {
        let place = Place::reference();
        let killed = demo(&place).env("WEIR_FAILPOINT", name).run();
        assert!(
            killed.stderr.contains(&format!("failpoint {name}")) && !killed.status.success(),
            "`{name}` was not reached: {}\n{}",
            killed.status,
            killed.stderr
        );
        // The demo reconciles at its end, and fails when something differs.
        demo(&place).run().expect_code(0);
    }
}

#[test]
fn a_demo_killed_again_and_again_at_odd_moments_ends_without_a_difference() {
    let began = Instant::now();
    let whole = Place::reference();
    demo(&whole).run().expect_code(0);
    let time = began.elapsed();

    let place = Place::reference();
    // Moments spread over the run; each start goes on where the last one was killed.
    for part in [0.15, 0.35, 0.6] {
        let mut running = demo(&place).start();
        std::thread::sleep(time.mul_f64(part).max(Duration::from_millis(50)));
        running.kill();
    }
    demo(&place).run().expect_code(0);
}

/// Every row of every table of the star, as the warehouse answers, sorted.
pub fn star(place: &Place) -> BTreeMap<String, Vec<String>> {
    let project = weir_project::load(&place.pipeline(), "dev", &[]).unwrap();
    let rows = |table: &str| {
        let rows = place.sql(&format!("select * from analytics.{table}"));
        let mut rows: Vec<String> =
            rows.iter().map(|row| row.as_object().unwrap().values().map(text).collect::<Vec<_>>().join("|")).collect();
        rows.sort();
        rows
    };
    project.models.iter().map(|model| (model.name.to_string(), rows(model.name.as_str()))).collect()
}

/// A place with one finished build, and staged changes that the next one has to take in: late ones, deletes, keys
/// that return, versions to close.
fn between_two_builds() -> Place {
    let place = Place::reference();
    let replay = ["replay", "simulate", "--seed", "11", "--customers", "60", "--products", "30", "--orders", "150"];
    let mut first = place.weir(&[&replay[..], &["--events-per-second", "700"]].concat()).start();
    std::thread::sleep(Duration::from_millis(1200));
    first.stop(Duration::from_secs(60));
    place.build();
    place.run(&replay);
    place.run(&["stream", "--once"]);
    place
}

#[test]
fn a_build_killed_at_any_of_its_commits_is_made_good_by_the_next_one_row_for_row() {
    let before = between_two_builds();
    let undisturbed = before.twin();
    undisturbed.run(&["build"]);
    let wanted = star(&undisturbed);
    assert!(wanted.values().all(|rows| !rows.is_empty()), "every table has rows");

    let mut kills = 0;
    for name in NAMES.iter().filter(|name| name.starts_with("curated.") || name.starts_with("warehouse.load")) {
        // A commit each time that it is passed: between every two tables, not only the first two.
        let times = if name.ends_with("_committed") { usize::MAX } else { 1 };
        for time in 1..=times {
            let place = before.twin();
            let killed = place.weir(&["build"]).env("WEIR_FAILPOINT", &format!("{name}={time}")).run();
            if killed.status.success() {
                break;
            }
            assert!(killed.stderr.contains(&format!("failpoint {name}")), "{name}={time}: {}", killed.stderr);
            place.run(&["build"]);
            assert!(star(&place) == wanted, "the star differs after a kill at {name}={time}");
            place.run(&["check"]);
            kills += 1;
        }
    }
    assert!(kills >= 2 * wanted.len(), "{kills} kills are too few for {} tables", wanted.len());
}

#[test]
fn chaos_kills_every_zone_and_nothing_is_lost_or_there_twice() {
    for zone in ["landing", "staging", "curated", "warehouse"] {
        let call = Weir::new(["chaos", "--zone", zone, "--kills", "3", "--seed", "7", "-o", "json"]);
        let outcome = call.run().expect_code(0);
        let seen: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let count = |name: &str| seen[0][name].as_u64().unwrap();
        assert_eq!((count("kills"), count("lost"), count("doubled"), count("differences")), (3, 0, 0, 0), "{seen}");
        assert!(count("at failpoints") > 0 && count("events") > 5_000, "{seen}");
    }
}
