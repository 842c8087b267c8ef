//! The way on over a gap, for somebody who knows of it: one commit that says what was given up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};
use weir_core::failpoint;
use weir_lake::{Commit, Lake};
use weir_project::Landing;

use crate::error::LandingError;
use crate::feed::Feed;
use crate::gather::{Reader, Seen};
use crate::start::{Cut, Gap, Lost, reader};
use crate::worker::{Until, Worker};

/// The key under which a commit's info says which gap was accepted with it.
const INFO: &str = "weir.accepted_gap";

/// Moves a table's positions over every gap between it and its topic, and says which those were. Lands nothing.
pub async fn accept_gap<F: Feed>(
    table: &weir_project::Table,
    settings: &Landing,
    lake: &Lake,
    feed: F,
) -> Result<Vec<Gap>, LandingError> {
    let mut worker = Worker::open(table, settings, lake).await?;
    let mut feed = Reader::new(feed, Until::CaughtUp, Arc::new(AtomicBool::new(false)));
    let mut accepted = Vec::new();
    loop {
        let seen;
        (feed, seen) = worker.look(feed).await?;
        let Some(seen) = seen else {
            return Err(worker.without_topic().unwrap_or_else(|| LandingError::NoGap { table: table.name.clone() }));
        };
        match worker.standing.starts(&seen.topic_id, &seen.held) {
            Ok(_) if accepted.is_empty() => return Err(LandingError::NoGap { table: table.name.clone() }),
            Ok(_) => return Ok(accepted),
            Err(found) => {
                let gap;
                (feed, gap) = worker.dated(feed, found).await?;
                worker.accept(&seen, &gap).await?;
                accepted.push(gap);
            }
        }
    }
}

impl Worker<'_> {
    async fn accept(&mut self, seen: &Seen, gap: &Gap) -> Result<(), LandingError> {
        let name = |partition: i32| reader(&seen.topic_id, partition);
        let mut commit = Commit::default();
        match gap {
            Gap::Retention(lost) => {
                commit.positions.extend(lost.iter().filter_map(|lost| Some((name(lost.partition), lost.to?))))
            }
            Gap::Recreated { .. } => {
                commit.positions.extend(seen.held.iter().map(|held| (name(held.partition), held.low - 1)))
            }
            Gap::Cut(cut) => commit.rewind.extend(cut.iter().map(|cut| (name(cut.partition), cut.high - 1))),
            // There is nothing to go on with.
            Gap::Gone(_) => return Err(self.gap(gap.clone())),
        }
        if let Some(letters) = self.letters.as_mut().filter(|_| !commit.rewind.is_empty()) {
            // Before the main table: letters ahead of it would be taken for those of a commit that never came.
            let known = commit.rewind.iter().filter(|(name, _)| letters.position(name).is_some());
            let commit = Commit { rewind: known.cloned().collect(), ..Commit::default() };
            letters.commit_behind_others(commit).await.map_err(self.failed())?;
        }
        let moved = commit.positions.iter().chain(&commit.rewind).map(|(name, _)| name.clone());
        commit.follows = moved.map(|name| self.standing.follows(name)).collect();
        commit.info = Map::from_iter([(INFO.to_owned(), info(&seen.topic_id, gap))]);
        let failed = self.failed();
        let Some(main) = &mut self.main else { return Ok(()) };
        main.commit_behind_others(commit).await.map_err(failed)?;
        failpoint::hit("landing.gap_accepted");
        Ok(())
    }
}

fn info(topic_id: &str, gap: &Gap) -> Value {
    let lost = |lost: &Lost| {
        let Lost { partition, from, to, since, until } = lost;
        json!({ "partition": partition, "from": from, "to": to, "since": since, "until": until })
    };
    let cut = |cut: &Cut| json!({ "partition": cut.partition, "from": cut.high, "to": cut.landed });
    let (kind, ranges): (&str, Vec<Value>) = match gap {
        Gap::Retention(all) => ("retention", all.iter().map(lost).collect()),
        Gap::Gone(all) => ("gone", all.iter().map(lost).collect()),
        Gap::Recreated { lost: all, .. } => ("recreated", all.iter().map(lost).collect()),
        Gap::Cut(all) => ("cut", all.iter().map(cut).collect()),
    };
    json!({ "topic_id": topic_id, "kind": kind, "lost": ranges })
}
