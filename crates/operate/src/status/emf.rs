//! Metrics as lines of the log, for CloudWatch: how the tables stand while a job runs, and how it ended.

use std::time::Duration;

use serde_json::Map;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use weir_core::emf::{self, ENVIRONMENT};
use weir_project::Project;

use super::Watch;
use super::metrics::{Counted, Job, logged};
use crate::site::Site;

/// Time between two looks: the finest step that an alarm has.
const EVERY: Duration = Duration::from_secs(60);

/// Writes the lines of one pipeline and environment.
pub struct Emf {
    environment: String,
    say: fn(&str),
}

impl Emf {
    /// None where the project wants none. `say` gets a line, without its end.
    pub fn of(project: &Project, say: fn(&str)) -> Option<Self> {
        project.metrics.emf.then(|| Self { environment: format!("{}-{}", project.name, project.env), say })
    }

    /// A job has ended.
    pub fn ended(&self, job: &Job) {
        let dimensions = [(ENVIRONMENT, self.environment.as_str()), ("job", job.name)];
        (self.say)(&emf::line(chrono::Utc::now().timestamp_millis(), &dimensions, &job.points(), Map::new()));
    }

    /// Tells every minute while `work` goes on how its tables stand, and once more when it has ended.
    pub async fn during<T>(&self, site: &Site, work: impl Future<Output = T>) -> T {
        let now = chrono::Utc::now().timestamp_millis();
        let mut watch = Watch::new(&site.project, &site.lake, &site.services.connection, now);
        let mut counted = Counted::new();
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.tell(&mut watch, &mut counted).await;
                    return done;
                }
                _ = ticks.tick() => self.tell(&mut watch, &mut counted).await,
            }
        }
    }

    async fn tell(&self, watch: &mut Watch, counted: &mut Counted) {
        let status = match watch.look(None).await {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(code = %error.diagnosis.code, %error, "the status cannot be told");
                return;
            }
        };
        for (table, points) in logged(&status, counted) {
            let beside = Map::from_iter([("table".to_owned(), table.into())]);
            (self.say)(&emf::line(status.at, &[(ENVIRONMENT, &self.environment)], &points, beside));
        }
    }
}
