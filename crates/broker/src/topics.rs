//! The topics of a folder: `topics/<name>@<id>/topic.json` and one folder per partition.
//!
//! A topic's id is in its folder's name, so a topic that is deleted and made again is another folder, and
//! names that differ by case only do not meet on a file system that ignores case.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{AtPath, BrokerError};
use crate::folder::{folders, sync_dir, write_whole};
use crate::log::config::TopicConfig;
use crate::log::partition::PartitionLog;
use crate::recovered::Recovered;
use crate::{locked, read, write};

/// Partitions that one topic may have: each holds open files.
pub(crate) const MOST_PARTITIONS: i32 = 1_000;
const UNFINISHED: &str = ".new";
const DELETED: &str = ".deleted";

#[derive(Debug, Serialize, Deserialize)]
struct TopicFile {
    id: Uuid,
    name: String,
    partitions: i32,
    #[serde(default)]
    config: TopicConfig,
}

/// An open topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    dir: PathBuf,
    config: RwLock<Arc<TopicConfig>>,
    partitions: RwLock<Vec<Arc<Mutex<PartitionLog>>>>,
}

/// Why a topic could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicError {
    #[error("topic `{0}` exists already")]
    Exists(String),
    #[error("`{0}` is no topic name: use letters, digits, `.`, `_` and `-`, at most 249")]
    Name(String),
    #[error("a topic has 1 to {MOST_PARTITIONS} partitions here, not {0}")]
    Partitions(i32),
    #[error("topic `{name}` has {has} partitions; their number can only grow")]
    Fewer { name: String, has: i32 },
    #[error("could not write the topic's folder")]
    Storage(#[from] io::Error),
    #[error(transparent)]
    Open(#[from] BrokerError),
}

impl Topic {
    /// The settings in force.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&read(&self.config))
    }

    /// The log of a partition.
    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Mutex<PartitionLog>>> {
        usize::try_from(index).ok().and_then(|i| read(&self.partitions).get(i).cloned())
    }

    /// All logs, in partition order.
    pub(crate) fn partitions(&self) -> Vec<Arc<Mutex<PartitionLog>>> {
        read(&self.partitions).clone()
    }

    /// How many partitions there are.
    pub(crate) fn count(&self) -> i32 {
        i32::try_from(read(&self.partitions).len()).unwrap_or(i32::MAX)
    }

    fn file(&self, partitions: i32, config: &TopicConfig) -> TopicFile {
        TopicFile { id: self.id, name: self.name.clone(), partitions, config: config.clone() }
    }

    /// Changes the settings, durably.
    pub(crate) fn configure(&self, config: TopicConfig) -> io::Result<()> {
        let mut held = write(&self.config);
        save(&self.dir, &self.file(self.count(), &config))?;
        *held = Arc::new(config);
        Ok(())
    }

    /// Adds partitions, durably.
    pub(crate) fn grow(&self, count: i32, leader_epoch: i32) -> Result<(), TopicError> {
        let config = self.config();
        let mut held = write(&self.partitions);
        let has = i32::try_from(held.len()).unwrap_or(i32::MAX);
        if count <= has {
            return Err(TopicError::Fewer { name: self.name.clone(), has });
        }
        if count > MOST_PARTITIONS {
            return Err(TopicError::Partitions(count));
        }
        let mut added = Vec::new();
        for index in has..count {
            let dir = self.dir.join(index.to_string());
            fs::create_dir_all(&dir)?;
            added.push(Arc::new(Mutex::new(PartitionLog::open(&dir, leader_epoch, &mut Recovered::default())?)));
        }
        save(&self.dir, &self.file(count, &config))?;
        held.extend(added);
        Ok(())
    }
}

fn save(dir: &Path, file: &TopicFile) -> io::Result<()> {
    write_whole(&dir.join("topic.json"), &serde_json::to_vec(file)?)
}

/// True for a name that Kafka allows.
pub(crate) fn is_topic_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.bytes().all(legal)
}

/// All topics of a folder.
#[derive(Debug)]
pub(crate) struct Topics {
    dir: PathBuf,
    leader_epoch: i32,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Topics {
    /// Opens every topic; removes what an interrupted creation or deletion left.
    pub(crate) fn open(dir: &Path, leader_epoch: i32, recovered: &mut Recovered) -> Result<Self, BrokerError> {
        let dir = dir.join("topics");
        fs::create_dir_all(&dir).at(&dir)?;
        let mut by_name = BTreeMap::new();
        for folder in folders(&dir)? {
            let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.ends_with(UNFINISHED) || name.ends_with(DELETED) {
                fs::remove_dir_all(&folder).at(&folder)?;
                continue;
            }
            let topic = open_topic(&folder, leader_epoch, recovered)?;
            by_name.insert(topic.name.clone(), Arc::new(topic));
        }
        Ok(Self { dir, leader_epoch, by_name: RwLock::new(by_name) })
    }

    /// The topic of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.by_name).get(name).cloned()
    }

    /// The topic of this id.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        read(&self.by_name).values().find(|t| t.id == id).cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        read(&self.by_name).values().cloned().collect()
    }

    /// Says whether a topic could be made.
    pub(crate) fn check_new(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        if !is_topic_name(name) {
            return Err(TopicError::Name(name.into()));
        }
        if self.get(name).is_some() {
            return Err(TopicError::Exists(name.into()));
        }
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            return Err(TopicError::Partitions(partitions));
        }
        Ok(())
    }

    /// Makes a topic: after a crash it is there whole or not at all.
    pub(crate) fn create(&self, name: &str, partitions: i32, config: TopicConfig) -> Result<Arc<Topic>, TopicError> {
        let mut held = write(&self.by_name);
        if held.contains_key(name) {
            return Err(TopicError::Exists(name.into()));
        }
        let id = Uuid::new_v4();
        let folder = self.dir.join(format!("{name}@{}", id.simple()));
        let unfinished = self.dir.join(format!("{name}@{}{UNFINISHED}", id.simple()));
        for index in 0..partitions {
            fs::create_dir_all(unfinished.join(index.to_string()))?;
        }
        save(&unfinished, &TopicFile { id, name: name.into(), partitions, config })?;
        fs::rename(&unfinished, &folder)?;
        sync_dir(&self.dir)?;
        let topic = Arc::new(open_topic(&folder, self.leader_epoch, &mut Recovered::default())?);
        held.insert(name.into(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Deletes a topic; readers that still hold it come to its end undisturbed.
    pub(crate) fn delete(&self, name: &str) -> Result<Option<Arc<Topic>>, TopicError> {
        let mut held = write(&self.by_name);
        let Some(topic) = held.get(name) else { return Ok(None) };
        let mut deleted = topic.dir.clone().into_os_string();
        deleted.push(DELETED);
        fs::rename(&topic.dir, &deleted)?;
        sync_dir(&self.dir)?;
        let topic = held.remove(name);
        drop(held);
        // What cannot be removed now is removed at the next start.
        if let Err(error) = fs::remove_dir_all(&deleted) {
            tracing::warn!(%error, topic = name, "could not remove a deleted topic's files yet");
        }
        Ok(topic)
    }
}

fn open_topic(dir: &Path, leader_epoch: i32, recovered: &mut Recovered) -> Result<Topic, BrokerError> {
    let path = dir.join("topic.json");
    let text = fs::read(&path).at(&path)?;
    let damaged = |source| BrokerError::StateDamaged { file: path.clone(), line: 1, source };
    let file: TopicFile = serde_json::from_slice(&text).map_err(damaged)?;
    let mut partitions = Vec::new();
    for index in 0..file.partitions {
        let dir = dir.join(index.to_string());
        fs::create_dir_all(&dir).at(&dir)?;
        partitions.push(Arc::new(Mutex::new(PartitionLog::open(&dir, leader_epoch, recovered)?)));
    }
    Ok(Topic {
        id: file.id,
        name: file.name,
        dir: dir.to_owned(),
        config: RwLock::new(Arc::new(file.config)),
        partitions: RwLock::new(partitions),
    })
}

/// Every partition of every topic, for the sweeps.
pub(crate) fn every_partition(topics: &Topics, mut act: impl FnMut(&Topic, i32, &mut PartitionLog)) {
    for topic in topics.all() {
        for (index, log) in topic.partitions().into_iter().enumerate() {
            act(&topic, i32::try_from(index).unwrap_or(i32::MAX), &mut locked(&log));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Topics {
        Topics::open(dir, 0, &mut Recovered::default()).unwrap()
    }

    #[test]
    fn a_topic_survives_a_restart_and_a_recreated_one_has_another_id() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let first = topics.create("a.b", 3, TopicConfig::default()).unwrap().id;
        drop(topics);
        let topics = open(dir.path());
        let again = topics.get("a.b").unwrap();
        assert_eq!((again.id, again.count()), (first, 3));
        assert_eq!(topics.delete("a.b").unwrap().unwrap().id, first);
        assert!(topics.get("a.b").is_none());
        assert_ne!(topics.create("a.b", 1, TopicConfig::default()).unwrap().id, first);
        drop(topics);
        assert_eq!(open(dir.path()).all().len(), 1);
    }

    #[test]
    fn what_an_interrupted_creation_or_deletion_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a@1.new", "b@2.deleted"] {
            fs::create_dir_all(dir.path().join("topics").join(name).join("0")).unwrap();
        }
        assert!(open(dir.path()).all().is_empty());
        assert_eq!(fs::read_dir(dir.path().join("topics")).unwrap().count(), 0);
    }

    #[test]
    fn a_topic_grows_and_never_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let topic = topics.create("t", 2, TopicConfig::default()).unwrap();
        assert!(matches!(topic.grow(2, 0), Err(TopicError::Fewer { has: 2, .. })));
        topic.grow(5, 0).unwrap();
        drop((topic, topics));
        assert_eq!(open(dir.path()).get("t").unwrap().count(), 5);
    }

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", "a b", "ä", &"x".repeat(250)] {
            assert!(matches!(open(dir.path()).check_new(name, 1), Err(TopicError::Name(_))), "{name}");
        }
    }
}
