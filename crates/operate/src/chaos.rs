//! Kills the path under load, again and again, and compares what is left with what was sent.
//!
//! The stream runs here, the zone in processes of its own: they are what is killed, at moments that a seed draws and at
//! each of the zone's failpoints. In between more events come; at the end everything is run to its end once, and every
//! zone is compared with the ledger.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_core::diagnosis::Diagnosed;
use weir_core::failpoint;
use weir_core::key_hash;
use weir_source::Source;

use crate::error::OperateError;
use crate::progress::Progress;
use crate::reconcile::{LedgerWitness, Reconciliation, reconcile};
use crate::run;
use crate::running::Announced;
use crate::site::Site;
use crate::warehouse::Target;

/// Records that come before each run.
pub const RECORDS: u64 = 2048;
/// Runs for each kill, at most: one that ends before it is killed does not count.
const RUNS: u64 = 5;
/// A failpoint is passed over once a process that should die there has ended by itself so often.
const TRIES: u32 = 5;

/// The zone whose process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// `weir stream --once`
    Landing,
    /// `weir build --upto staging`
    Staging,
    /// `weir build --upto curated`
    Curated,
    /// `weir build`
    Warehouse,
}

impl Victim {
    /// Its name, with which its failpoints begin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Landing => "landing",
            Self::Staging => "staging",
            Self::Curated => "curated",
            Self::Warehouse => "warehouse",
        }
    }

    /// The command that moves events into the zone.
    const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Landing => &["stream", "--once"],
            Self::Staging => &["build", "--upto", "staging"],
            Self::Curated => &["build", "--upto", "curated"],
            Self::Warehouse => &["build"],
        }
    }

    /// What must be done before, and is left alone.
    fn before(self) -> Vec<Self> {
        match self {
            Self::Landing => Vec::new(),
            Self::Staging => vec![Self::Landing],
            Self::Curated => vec![Self::Landing, Self::Staging],
            Self::Warehouse => vec![Self::Landing, Self::Staging, Self::Curated],
        }
    }

    /// Its failpoints, in the order of the path.
    pub fn failpoints(self) -> Vec<&'static str> {
        let of_zone = |point: &&str| point.split_once('.').is_some_and(|(zone, _)| zone == self.name());
        let of_zone = |point: &&str| of_zone(point) && !BY_HAND.contains(point);
        failpoint::NAMES.iter().copied().filter(of_zone).collect()
    }
}

/// Failpoints of what somebody decides, which no run reaches by itself.
const BY_HAND: [&str; 1] = ["landing.gap_accepted"];

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// What is killed.
    pub victim: Victim,
    /// How often.
    pub kills: u64,
    /// Draws the moments.
    pub seed: u64,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Kills at moments that the seed drew.
    pub by_chance: u64,
    /// Kills at failpoints.
    pub at_failpoints: BTreeMap<&'static str, u64>,
    /// Runs in all, those before the zone left out.
    pub runs: u64,
    /// Records sent.
    pub records: u64,
    /// The longest that a run took from its start behind a kill to its end.
    pub slowest_restart: Duration,
    /// The proof.
    pub reconciliation: Reconciliation,
}

impl Seen {
    /// Kills in all.
    pub fn kills(&self) -> u64 {
        self.by_chance + self.at_failpoints.values().sum::<u64>()
    }
}

impl Chaos {
    /// About how many records it needs.
    pub const fn records(&self) -> u64 {
        (2 * self.kills + 4) * RECORDS
    }

    /// Does it on a site with a stream of its own, where nothing else runs. `weir` makes a call of the binary on this site.
    pub async fn run(
        &self,
        site: &Site,
        source: Arc<Source>,
        weir: impl Fn() -> Command + Sync,
        progress: Arc<dyn Progress>,
    ) -> Result<Seen, Diagnosed> {
        // The children find the stream by this note; nothing listens on the wire.
        let announced = Announced::write(&site.dir, 0, Some(&site.services))?;
        progress.begin("chaos", Some(self.kills));
        let mut seen = Seen::default();
        let mut unreached: BTreeMap<&'static str, u32> = BTreeMap::new();
        // How long a run takes that nobody kills.
        let mut whole = Duration::from_secs(1);
        let mut dice = Dice { seed: self.seed, thrown: 0 };
        let mut is_behind_a_kill = false;
        while seen.kills() < self.kills && seen.runs < RUNS * self.kills {
            send(site, &source, &mut seen, Some(RECORDS)).await?;
            for zone in self.victim.before() {
                undisturbed(&weir, zone)?;
            }
            seen.runs += 1;
            let points = self.victim.failpoints();
            let open = points.into_iter().filter(|point| unreached.get(point).is_none_or(|tries| *tries < TRIES));
            // The one that was hit least is next, and of those the one that was missed least: some are only reached behind
            // a kill at another.
            let missed = |point: &&'static str| unreached.get(point).copied().unwrap_or(0);
            let point = open.min_by_key(|point| (seen.at_failpoints.get(point).copied().unwrap_or(0), missed(point)));
            let began = Instant::now();
            let killed = match point.filter(|_| seen.runs % 2 == 1) {
                Some(point) => {
                    let times = if seen.at_failpoints.contains_key(point) { 1 + dice.throw(3) } else { 1 };
                    let killed = killed_at(&weir, self.victim, point, times)?;
                    if killed {
                        *seen.at_failpoints.entry(point).or_default() += 1;
                    } else if times == 1 {
                        *unreached.entry(point).or_default() += 1;
                    }
                    killed
                }
                None => {
                    let moment = whole.mul_f64(dice.throw(1000) as f64 / 1000.0);
                    let killed = killed_after(&weir, self.victim, moment)?;
                    seen.by_chance += u64::from(killed);
                    killed
                }
            };
            if !killed {
                whole = began.elapsed();
                if is_behind_a_kill {
                    seen.slowest_restart = seen.slowest_restart.max(whole);
                }
            }
            is_behind_a_kill = killed;
            // Every other start behind a kill is killed, too.
            if killed && dice.throw(2) == 0 {
                whole = undisturbed(&weir, self.victim)?;
                seen.slowest_restart = seen.slowest_restart.max(whole);
                is_behind_a_kill = false;
            }
            progress.at(seen.kills());
        }
        progress.end();
        send(site, &source, &mut seen, None).await?;
        undisturbed(&weir, Victim::Landing)?;
        undisturbed(&weir, Victim::Warehouse)?;
        drop(announced);
        let target = Target::open(site)?;
        let witness = LedgerWitness { source: &source, project: &site.project };
        seen.reconciliation = reconcile(site, Some(&target), &witness).await?;
        Ok(seen)
    }
}

/// Numbers that are a function of the seed.
struct Dice {
    seed: u64,
    thrown: i64,
}

impl Dice {
    /// A number below `sides`.
    fn throw(&mut self, sides: u64) -> u64 {
        self.thrown += 1;
        key_hash::long(self.seed, self.thrown) % sides
    }
}

/// Sends some more records, or all that are left.
async fn send(site: &Site, source: &Arc<Source>, seen: &mut Seen, some: Option<u64>) -> Result<(), Diagnosed> {
    let goal = some.map_or(u64::MAX, |some| seen.records + some);
    let stop = move |sent| if sent >= goal { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let sent = run::replay(site, source.clone(), 0, stop).await?;
    seen.records = sent.skipped + sent.produced;
    Ok(())
}

/// Runs a zone's command to its end, and says how long it took.
fn undisturbed(weir: &impl Fn() -> Command, zone: Victim) -> Result<Duration, OperateError> {
    let began = Instant::now();
    let output = weir().args(zone.command()).stdin(Stdio::null()).output().map_err(|source| no_start(zone, source))?;
    if output.status.success() { Ok(began.elapsed()) } else { Err(failed(zone, &output)) }
}

/// Runs it with a failpoint armed for its `times`th pass; false where it ended before.
fn killed_at(weir: &impl Fn() -> Command, zone: Victim, point: &'static str, times: u64) -> Result<bool, OperateError> {
    let mut call = weir();
    call.args(zone.command()).env("WEIR_FAILPOINT", format!("{point}={times}")).stdin(Stdio::null());
    ended(zone, &call.output().map_err(|source| no_start(zone, source))?)
}

/// Runs it and kills it after this time; false where it ended before.
fn killed_after(weir: &impl Fn() -> Command, zone: Victim, moment: Duration) -> Result<bool, OperateError> {
    let mut call = weir();
    call.args(zone.command()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = call.spawn().map_err(|source| no_start(zone, source))?;
    std::thread::sleep(moment);
    // An error means that it has ended by itself.
    let _ = child.kill();
    ended(zone, &child.wait_with_output().map_err(|source| no_start(zone, source))?)
}

/// Whether a signal ended it; its own error ends the whole.
fn ended(zone: Victim, output: &Output) -> Result<bool, OperateError> {
    match (output.status.signal(), output.status.success()) {
        (Some(_), _) => Ok(true),
        (None, true) => Ok(false),
        (None, false) => Err(failed(zone, output)),
    }
}

fn failed(zone: Victim, output: &Output) -> OperateError {
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    OperateError::RunFailed { command: zone.command().join(" "), status: output.status.to_string(), said }
}

fn no_start(zone: Victim, source: std::io::Error) -> OperateError {
    OperateError::NoStart { command: zone.command().join(" "), source }
}
