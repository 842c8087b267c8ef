//! The publication: after every table has committed, one file says which versions belong together and which
//! change sets lead there from the publication before. Also the change sets of builds that were killed before
//! they published: they stand in the tables' commits.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::path::Path;
use weir_core::failpoint;
use weir_core::name::ModelName;
use weir_core::publication::{Publication, PublishedTable};
use weir_lake::{Lake, LakeError, Table};

use crate::change_set::Written;
use crate::error::CuratedError;
use crate::layout::load_key;
use crate::room::Room;

/// The newest publication; none before the first.
pub async fn latest(lake: &Lake) -> Result<Option<Publication>, CuratedError> {
    match newest(lake).await? {
        0 => Ok(None),
        build => read(lake, build).await,
    }
}

/// One publication, by number; none if it is not there.
pub async fn read(lake: &Lake, build: u64) -> Result<Option<Publication>, CuratedError> {
    let path = Publication::path(build);
    let Some(bytes) = lake.get(&path).await? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|source| CuratedError::Unreadable { path, source: Box::new(source) })
}

/// The greatest number in the folder.
async fn newest(lake: &Lake) -> Result<u64, CuratedError> {
    let folder = Path::from("curated/_published");
    let failed = |source: object_store::Error| {
        CuratedError::Lake(LakeError::Store { what: "curated/_published".to_owned(), source: Box::new(source) })
    };
    let files: Vec<_> = lake.store().list(Some(&folder)).try_collect().await.map_err(failed)?;
    let number = |name: &str| name.strip_suffix(".json").and_then(|digits| digits.parse::<u64>().ok());
    Ok(files.iter().filter_map(|file| file.location.filename().and_then(number)).max().unwrap_or(0))
}

/// What is to be published of the tables; none when nothing can be loaded that was not published before.
pub(crate) async fn draft(
    room: &Room,
    tables: &BTreeMap<ModelName, Table>,
) -> Result<Option<Publication>, CuratedError> {
    let last = latest(&room.lake).await?;
    let mut published = Vec::new();
    for model in room.models.iter() {
        let Some(table) = tables.get(&model.name) else { continue };
        let before = last.iter().flat_map(|last| &last.tables).find(|before| before.table == model.name);
        let after = before.map_or(-1, |before| before.version);
        let mut written = Written::since(table, after).await?;
        // What came before a table was made anew has other columns, and nothing to say any more.
        written.drain(..written.iter().rposition(|(_, written)| written.anew).unwrap_or(0));
        let change_sets = written.into_iter().filter_map(|(commit, written)| written.change_set(commit.version));
        let change_sets = change_sets.collect();
        let table = model.name.clone();
        published.push(PublishedTable { version: tables[&table].version(), table, key: load_key(model), change_sets });
    }
    if published.iter().all(|table| table.change_sets.is_empty()) {
        return Ok(None);
    }
    Ok(Some(Publication { build: last.map_or(1, |last| last.build + 1), published_at: 0, tables: published }))
}

/// Publishes it now, under its number.
pub(crate) async fn publish(lake: &Lake, draft: Publication) -> Result<u64, CuratedError> {
    let publication = Publication { published_at: chrono::Utc::now().timestamp_micros(), ..draft };
    let build = publication.build;
    let path = Publication::path(build);
    let text = serde_json::to_vec_pretty(&publication);
    let text = text.map_err(|source| CuratedError::Unreadable { path: path.clone(), source: Box::new(source) })?;
    failpoint::hit("curated.before_publish");
    if !lake.put_if_absent(&path, text).await? {
        return Err(CuratedError::PublishedElsewhere { build });
    }
    failpoint::hit("curated.published");
    Ok(build)
}
