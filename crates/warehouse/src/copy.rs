//! COPY of Parquet: the manifest's lengths are held to, columns load by position, types must fit.

use std::path::{Path, PathBuf};

use duckdb::Connection;
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Spool};
use crate::database::Shared;
use crate::error::WarehouseError;
use crate::statement::copy::Copy;
use crate::statement::text::{literal, quoted};

/// A COPY manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Files, each loaded once per mention.
    pub entries: Vec<Entry>,
}

/// A file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is: a URL, or a path on this machine.
    pub url: String,
    /// Whether COPY fails if it is missing.
    #[serde(default)]
    pub mandatory: bool,
    /// Demanded for Parquet.
    pub meta: Meta,
}

/// What a manifest says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Bytes.
    pub content_length: u64,
}

/// Loads, and gives the number of rows.
pub(crate) fn run(connection: &Connection, copy: &Copy, shared: &Shared) -> Result<u64, WarehouseError> {
    let fetched = match &shared.bucket {
        Some(bucket) if copy.from.starts_with("s3://") || bucket.path(&copy.from).is_some() => {
            Some(fetched(copy, bucket, &shared.spool())?)
        }
        _ => None,
    };
    let files = match &fetched {
        Some((_spool, files)) => files.clone(),
        None if copy.manifest => manifest_files(&copy.from)?,
        None => folder_files(&copy.from)?,
    };
    let targets = target_columns(connection, copy)?;
    if files.is_empty() {
        return Ok(0);
    }
    let list = |paths: &[PathBuf]| {
        let items: Vec<String> = paths.iter().map(|path| literal(&path.display().to_string())).collect();
        format!("read_parquet([{}], hive_partitioning = false, filename = false)", items.join(", "))
    };
    for file in &files {
        let columns = describe(connection, &format!("SELECT * FROM {}", list(std::slice::from_ref(file))))?;
        let short = columns.len() < targets.len() && copy.fill_record;
        if columns.len() != targets.len() && !short {
            return Err(WarehouseError::CopyColumns {
                path: file.display().to_string(),
                table: copy.table.to_string(),
                expected: targets.len(),
                actual: columns.len(),
            });
        }
        for (at, ((_, actual), (_, expected))) in columns.iter().zip(&targets).enumerate() {
            if !fits(actual, expected) {
                return Err(WarehouseError::CopyType {
                    path: file.display().to_string(),
                    table: copy.table.to_string(),
                    position: at + 1,
                    expected: expected.clone(),
                    actual: actual.clone(),
                });
            }
        }
    }
    let mut loaded = 0;
    // Files of one shape go together; with FILLRECORD each may have its own.
    let groups: Vec<&[PathBuf]> = if copy.fill_record { files.chunks(1).collect() } else { vec![&files] };
    for group in groups {
        let width = describe(connection, &format!("SELECT * FROM {}", list(&group[..1])))?.len();
        let names: Vec<String> = targets.iter().take(width).map(|(name, _)| quoted(name)).collect();
        let sql = format!("INSERT INTO {} ({}) SELECT * FROM {}", copy.table.sql(), names.join(", "), list(group));
        loaded += connection.execute(&sql, [])? as u64;
    }
    Ok(loaded)
}

/// Name and type of each column that the file's columns go to.
fn target_columns(connection: &Connection, copy: &Copy) -> Result<Vec<(String, String)>, WarehouseError> {
    let columns = if copy.columns.is_empty() {
        "*".to_owned()
    } else {
        copy.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    };
    describe(connection, &format!("SELECT {columns} FROM {}", copy.table.sql()))
}

fn describe(connection: &Connection, query: &str) -> Result<Vec<(String, String)>, WarehouseError> {
    let mut statement = connection.prepare(&format!("DESCRIBE {query}"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether Redshift would load a Parquet column of one type into a table column of the other.
fn fits(actual: &str, expected: &str) -> bool {
    let class = |name: &str| match name.split('(').next().unwrap_or_default() {
        "TINYINT" | "UTINYINT" | "SMALLINT" | "USMALLINT" | "INTEGER" | "UINTEGER" | "BIGINT" => "integer",
        "FLOAT" | "DOUBLE" => "float",
        "DECIMAL" => "decimal",
        "VARCHAR" | "JSON" => "text",
        "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" | "TIMESTAMP_NS" | "TIMESTAMP_MS" | "TIMESTAMP_S" => "timestamp",
        "BOOLEAN" => "boolean",
        "DATE" => "date",
        "BLOB" => "binary",
        _ => "other",
    };
    class(actual) == class(expected) && class(actual) != "other"
}

fn manifest_files(from: &str) -> Result<Vec<PathBuf>, WarehouseError> {
    let path = local(from)?;
    let text = std::fs::read(&path)
        .map_err(|source| WarehouseError::CopyUnreadable { path: path.display().to_string(), source })?;
    let mut files = Vec::new();
    for entry in manifest(&path.display().to_string(), &text)?.entries {
        let file = local(&entry.url)?;
        let found = std::fs::metadata(&file).map(|found| (file.clone(), found.len()));
        files.extend(checked(&entry, &file.display().to_string(), found)?);
    }
    Ok(files)
}

fn manifest(path: &str, text: &[u8]) -> Result<Manifest, WarehouseError> {
    let read = serde_json::from_slice(text);
    read.map_err(|error| WarehouseError::CopyManifest { path: path.to_owned(), problem: error.to_string() })
}

/// The file of an entry, if it is as the manifest says; none if it may be missing and is.
fn checked(
    entry: &Entry,
    path: &str,
    found: std::io::Result<(PathBuf, u64)>,
) -> Result<Option<PathBuf>, WarehouseError> {
    match found {
        Ok((file, length)) if length == entry.meta.content_length => Ok(Some(file)),
        Ok((_, actual)) => {
            Err(WarehouseError::CopyLength { path: path.to_owned(), expected: entry.meta.content_length, actual })
        }
        Err(source) if entry.mandatory || source.kind() != std::io::ErrorKind::NotFound => {
            Err(WarehouseError::CopyUnreadable { path: path.to_owned(), source })
        }
        Err(_) => Ok(None),
    }
}

/// The files of a COPY from the lake's bucket, on this machine as long as the spool lives.
fn fetched(copy: &Copy, bucket: &Bucket, spool: &Path) -> Result<(Spool, Vec<PathBuf>), WarehouseError> {
    let unreadable = |path: &str, source| WarehouseError::CopyUnreadable { path: path.to_owned(), source };
    let inside = |url: &str| -> Result<String, WarehouseError> {
        let path = bucket.path(url).map(str::to_owned);
        path.ok_or_else(|| WarehouseError::unsupported(format!("COPY from {url}, which is not in the lake")))
    };
    let spool = Spool::below(spool).map_err(|source| unreadable(&spool.display().to_string(), source))?;
    let from = inside(&copy.from)?;
    if !copy.manifest {
        let paths = bucket.parquet_below(&from).map_err(|source| unreadable(&copy.from, source))?;
        let fetched = bucket.fetch(&paths, spool.path()).into_iter().zip(&paths);
        let files = fetched.map(|(file, path)| file.map(|(file, _)| file).map_err(|source| unreadable(path, source)));
        let files = files.collect::<Result<_, _>>()?;
        return Ok((spool, files));
    }
    let text = bucket.read(&from).map_err(|source| unreadable(&copy.from, source))?;
    let entries = manifest(&copy.from, &text)?.entries;
    let paths = entries.iter().map(|entry| inside(&entry.url)).collect::<Result<Vec<_>, _>>()?;
    let mut files = Vec::new();
    for (found, entry) in bucket.fetch(&paths, spool.path()).into_iter().zip(&entries) {
        files.extend(checked(entry, &entry.url, found)?);
    }
    Ok((spool, files))
}

/// A file, or all Parquet files below a folder, by name.
fn folder_files(from: &str) -> Result<Vec<PathBuf>, WarehouseError> {
    let path = local(from)?;
    let unreadable = |path: &Path, source| WarehouseError::CopyUnreadable { path: path.display().to_string(), source };
    if path.is_file() {
        return Ok(vec![path]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))? {
            let path = entry.map_err(|source| unreadable(&folder, source))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']));
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The path on this machine of a URL or path.
fn local(url: &str) -> Result<PathBuf, WarehouseError> {
    if let Some((scheme, _)) = url.split_once("://") {
        if scheme == "file" {
            let parsed = url::Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
            return parsed.ok_or_else(|| WarehouseError::unsupported(format!("the URL {url}")));
        }
        return Err(WarehouseError::unsupported(format!("COPY from {scheme}://")));
    }
    Ok(PathBuf::from(url))
}
