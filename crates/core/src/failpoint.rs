//! Named failpoints at commit points: always compiled in, armed only by `WEIR_FAILPOINT`.
//!
//! `WEIR_FAILPOINT=landing.committed` aborts the process (as SIGKILL would, without unwinding) the
//! first time that point is reached; `landing.committed=3` the third time. `landing.committed:stop` stops the
//! process there instead, as SIGSTOP does, until it is told to continue. A disarmed point costs one atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

/// Every failpoint of the product, in the order of the path. The repository's own tests compare this list
/// with the code, and kill a run at each name.
pub const NAMES: &[&str] = &[
    "replay.produced",
    "landing.claimed",
    "landing.taken_back",
    "landing.gap_accepted",
    "landing.polled",
    "landing.decoded",
    "landing.file_part_written",
    "landing.files_written",
    "landing.deadletters_committed",
    "landing.committed",
    "landing.offsets_published",
    "dlq.sent",
    "dlq.marked",
    "staging.files_written",
    "staging.quarantine_committed",
    "staging.committed",
    "curated.key_changes_committed",
    "curated.change_set_written",
    "curated.history_committed",
    "curated.table_committed",
    "curated.state_committed",
    "curated.before_publish",
    "curated.published",
    "warehouse.load_before_commit",
    "warehouse.load_committed",
    "warehouse.migration_before_commit",
    "warehouse.migration_committed",
    "warehouse.refresh_before_commit",
    "warehouse.refresh_committed",
    "warehouse.mirror_before_commit",
    "warehouse.mirror_committed",
    "restate.history_committed",
    "checkpoint.verified",
    "checkpoint.written",
    "retention.committed",
    "compaction.files_written",
    "compaction.committed",
    "vacuum.file_deleted",
];

const UNREAD: u8 = 0;
const DISARMED: u8 = 1;
const ARMED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static LEFT: AtomicI64 = AtomicI64::new(0);
static NAME: OnceLock<String> = OnceLock::new();
static STOPS: AtomicBool = AtomicBool::new(false);

/// Dies or stops here when armed under this name.
pub fn hit(name: &'static str) {
    match STATE.load(Ordering::Relaxed) {
        DISARMED => {}
        UNREAD => {
            arm();
            hit(name);
        }
        _ => {
            if NAME.get().is_some_and(|armed| armed == name) && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
                #[allow(clippy::print_stderr, reason = "the process ends here; nothing else can tell why")]
                {
                    eprintln!("failpoint {name}");
                }
                if !STOPS.load(Ordering::Relaxed) {
                    std::process::abort();
                }
                // The shell's own word: the standard library has none for it.
                let told = std::process::Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
                assert!(told.is_ok_and(|status| status.success()), "the process could not be stopped");
            }
        }
    }
}

fn arm() {
    let armed = std::env::var("WEIR_FAILPOINT").ok().filter(|text| !text.is_empty());
    let Some(text) = armed else {
        STATE.store(DISARMED, Ordering::Relaxed);
        return;
    };
    let (text, stops) = match text.strip_suffix(":stop") {
        Some(rest) => (rest.to_owned(), true),
        None => (text, false),
    };
    STOPS.store(stops, Ordering::Relaxed);
    let (name, count) = match text.split_once('=') {
        Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
        None => (text, 1),
    };
    // Only the first caller arms; a second thread finds the name set and keeps the count.
    if NAME.set(name).is_ok() {
        LEFT.store(count, Ordering::SeqCst);
        STATE.store(ARMED, Ordering::SeqCst);
    }
}
