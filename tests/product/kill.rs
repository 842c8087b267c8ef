//! kill -9 at any moment: the next start ends with no difference.

use std::time::{Duration, Instant};

use weir_core::failpoint::NAMES;
use weir_testkit::harness::Weir;

use crate::place::Place;

const ROWS: &str = "3000";

fn demo(place: &Place) -> Weir {
    Weir::new(["demo", "--rows", ROWS, "--keep", place.parts().to_str().unwrap()]).dir(place.path())
}

#[test]
fn a_demo_killed_at_any_commit_point_ends_without_a_difference_at_the_next_start() {
    for name in NAMES {
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
