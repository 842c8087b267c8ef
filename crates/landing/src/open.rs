//! Where a worker stands when it begins, and each time that its partitions, its topic or its table are others than it
//! thought: always from the table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use weir_core::failpoint;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::{Commit, Lake, LakeError, Table, side};
use weir_project::Landing;

use crate::error::LandingError;
use crate::feed::Feed;
use crate::gather::{Reader, Seen};
use crate::start::{Gap, Held, Standing, claim, of_reader, reader};
use crate::worker::{INFO, Landed, Worker, newest_of};

/// Commits in which the newest event of a partition is looked for.
const RECENT: i64 = 50;

impl<'a> Worker<'a> {
    /// Opens the tables.
    pub(crate) async fn open(
        table: &'a weir_project::Table,
        settings: &'a Landing,
        lake: &'a Lake,
    ) -> Result<Self, LandingError> {
        let mut worker = Self {
            table,
            settings,
            lake,
            main: None,
            letters: None,
            topic_id: String::new(),
            standing: Standing::default(),
            letters_at: BTreeMap::new(),
            looked: SystemTime::now(),
            beginnings: Vec::new(),
            unpublished: Vec::new(),
            landed: Landed::default(),
        };
        worker.refresh().await?;
        Ok(worker)
    }

    /// Both tables as they are now.
    pub(crate) async fn refresh(&mut self) -> Result<(), LandingError> {
        let failed = self.failed();
        self.looked = SystemTime::now();
        for (zone, table) in [(Zone::Landing, &mut self.main), (Zone::Deadletter, &mut self.letters)] {
            match table {
                Some(table) => {
                    table.refresh().await.map_err(&failed)?;
                }
                None => *table = self.lake.table(zone, self.table.name.as_str()).await.map_err(&failed)?,
            }
        }
        self.standing.positions = self.main.as_ref().map(|main| main.positions().clone()).unwrap_or_default();
        Ok(())
    }

    /// Begins where the table stands, with the partitions that are the reader's now.
    pub(crate) async fn reopen<F: Feed>(&mut self, reader: Reader<F>) -> Result<Reader<F>, LandingError> {
        let (mut reader, seen) = self.look(reader).await?;
        let Some(seen) = seen else {
            if let Some(gone) = self.without_topic() {
                return Err(gone);
            }
            tracing::warn!(topic = self.table.topic, "the topic does not exist yet");
            reader.begin_without_topic();
            return Ok(reader);
        };
        let starts = match self.standing.starts(&seen.topic_id, &seen.of(&reader.partitions)) {
            Ok(starts) => starts,
            Err(gap) => {
                let (_, gap) = self.dated(reader, gap).await?;
                return Err(self.gap(gap));
            }
        };
        self.topic_id.clone_from(&seen.topic_id);
        // The group is told these starts; what was committed before may be another worker's by now.
        self.unpublished.clear();
        // With the first commit every partition has a position, also one that holds nothing yet: what is lost of it later
        // is then seen to be lost.
        let beginning = |held: &Held| (crate::start::reader(&seen.topic_id, held.partition), held.low - 1);
        self.beginnings =
            if self.standing.has_begun() { Vec::new() } else { seen.held.iter().map(beginning).collect() };
        self.blocking(move || reader.begin(seen, &starts).map(|()| reader)).await?.map_err(self.stream())
    }

    /// What the brokers say, and the tables as they are then, without dead letters of nobody.
    pub(crate) async fn look<F: Feed>(
        &mut self,
        mut reader: Reader<F>,
    ) -> Result<(Reader<F>, Option<Seen>), LandingError> {
        self.refresh().await?;
        let first = !self.standing.has_begun();
        let (reader, seen) =
            self.blocking(move || reader.look(first).map(|seen| (reader, seen))).await?.map_err(self.stream())?;
        if let Some(seen) = &seen {
            self.take_letters_back(&seen.topic_id, &reader.partitions).await?;
        }
        self.letters_at = self.letters.as_ref().map(|letters| letters.positions().clone()).unwrap_or_default();
        if let Some(main) = &self.main {
            let newest = newest(main).await.map_err(self.failed())?;
            self.standing.newest.extend(newest);
        }
        Ok((reader, seen))
    }

    /// The gap with the times that can be told.
    pub(crate) async fn dated<F: Feed>(
        &self,
        mut reader: Reader<F>,
        mut gap: Gap,
    ) -> Result<(Reader<F>, Gap), LandingError> {
        let date = move || {
            if let Gap::Retention(lost) = &mut gap {
                reader.date(lost);
            }
            (reader, gap)
        };
        self.blocking(date).await
    }

    /// What it means that the topic does not exist; nothing for a table that has landed nothing.
    pub(crate) fn without_topic(&self) -> Option<LandingError> {
        self.standing.has_begun().then(|| self.gap(Gap::Gone(self.standing.all_behind())))
    }

    pub(crate) fn gap(&self, gap: Gap) -> LandingError {
        LandingError::Gap { table: self.table.name.clone(), topic: self.table.topic.clone(), gap }
    }

    /// Takes back dead letters of these partitions that the main table never decided on.
    ///
    /// Whoever wrote them may only be paused. So the main table's commit of a claim comes first: from then on it refuses
    /// that writer's micro-batch, and the letters can go.
    async fn take_letters_back(&mut self, topic_id: &str, partitions: &[i32]) -> Result<(), LandingError> {
        let failed = self.failed();
        let mine: BTreeSet<String> = partitions.iter().map(|partition| reader(topic_id, *partition)).collect();
        loop {
            let Some(letters) = &mut self.letters else { return Ok(()) };
            let ahead = side::ahead(letters, self.main.as_ref(), |reader| mine.contains(reader)).await;
            let ahead = ahead.map_err(&failed)?;
            if ahead.is_empty() {
                return Ok(());
            }
            let mut main = self.main_table(&[]).await?;
            let claims = ahead.readers().filter_map(of_reader).map(|(id, partition)| {
                let claim = claim(id, partition);
                let number = main.position(&claim).unwrap_or(0) + 1;
                (claim, number)
            });
            let positions = claims.collect();
            let follows = ahead.readers().map(|reader| (reader.to_owned(), main.position(reader))).collect();
            let mut done = main.commit(Commit { positions, follows, ..Commit::default() }).await.map(drop);
            self.main = Some(main);
            if let (Ok(()), Some(letters)) = (&done, &mut self.letters) {
                failpoint::hit("landing.claimed");
                done = side::take_back(letters, ahead).await.map(drop);
                failpoint::hit("landing.taken_back");
            }
            match done {
                // Somebody committed meanwhile, perhaps the very micro-batch: look again.
                Ok(()) | Err(LakeError::Conflict { .. } | LakeError::PositionMoved { .. }) => self.refresh().await?,
                Err(error) => return Err(failed(error)),
            }
        }
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LandingError> {
        blocking(&self.table.name, work).await
    }
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    table: &TableName,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LandingError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| LandingError::Worker { table: table.clone(), source })
}

/// Newest event of each partition, as the last micro-batches say.
async fn newest(main: &Table) -> Result<BTreeMap<i32, i64>, LakeError> {
    let mut newest = BTreeMap::new();
    let infos = main.commit_infos((main.version() - RECENT).max(0), main.version()).await?;
    for (partition, us) in infos.iter().filter_map(|commit| commit.info.get(INFO)).flat_map(newest_of) {
        let known = newest.entry(partition).or_insert(us);
        *known = us.max(*known);
    }
    Ok(newest)
}
