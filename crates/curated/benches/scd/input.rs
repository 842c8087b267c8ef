//! What the contestants read: a staging table whose commits are held back, the same changes as Parquet, a project,
//! and what is expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use weir_core::order_key::{Lsn, OrderKey, SqlServerPosition};
use weir_core::zone::{Hour, Zone};
use weir_lake::{Commit, Lake, NewFile, Options, Partition, Partitioning, Table};

use crate::Failure;
use crate::events::{Event, Image, Shape, Sum, time};

/// Rows of one staging file of the first load.
const FILE_ROWS: u64 = 250_000;

/// What `prepare` says of its folder, in `input.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    pub shape: Shape,
    /// With late changes taken into account.
    pub expected: Sum,
    /// With late changes dropped.
    pub expected_without_late: Sum,
    pub late: u64,
    /// Size of each batch's changes as a Parquet file.
    pub change_bytes: Vec<u64>,
}

impl Input {
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(dir.join("input.json"))?)?)
    }
}

/// Commits of staging that have not arrived yet.
pub fn held(dir: &Path) -> PathBuf {
    dir.join("held")
}

pub fn log_of(lake: &Path) -> PathBuf {
    lake.join("staging/customer/_delta_log")
}

/// Fills `dir`.
pub async fn prepare(dir: &Path, shape: &Shape) -> Result<(), Failure> {
    fs::create_dir_all(dir.join("changes"))?;
    project(dir, shape)?;
    let events = shape.events();
    let lake = Lake::open(Options::folder(dir.join("lake"))).await?;
    let schema = Rows::default().staging()?.schema();
    let mut staging = lake.create_table(Zone::Staging, "customer", &schema, Partitioning::Hour).await?;

    let mut base = None;
    let mut add = Vec::new();
    for from in (0..shape.rows).step_by(usize::try_from(FILE_ROWS)?) {
        let mut rows = Rows::default();
        for key in from..(from + FILE_ROWS).min(shape.rows) {
            let image = shape.base(key);
            let order = Shape::base_order(key);
            rows.push(&Event { key, order, create: true, batch: 0, opening: false, image, late: false, opens: true });
        }
        add.push(staged(&staging, &rows).await?);
        let plain = rows.plain()?;
        let file = dir.join("changes/base.parquet");
        let writer = base.get_or_insert(ArrowWriter::try_new(fs::File::create(file)?, plain.schema(), None)?);
        writer.write(&plain)?;
    }
    if let Some(writer) = base {
        writer.close()?;
    }
    staging.commit(Commit { add, ..Commit::default() }).await?;

    let mut change_bytes = Vec::new();
    for batch in 1..=shape.batches {
        let mut rows = Rows::default();
        events.iter().filter(|event| event.batch == batch).for_each(|event| rows.push(event));
        let add = vec![staged(&staging, &rows).await?];
        staging.commit(Commit { add, ..Commit::default() }).await?;
        let plain = rows.plain()?;
        let file = dir.join(format!("changes/batch-{batch:02}.parquet"));
        let mut writer = ArrowWriter::try_new(fs::File::create(&file)?, plain.schema(), None)?;
        writer.write(&plain)?;
        writer.close()?;
        change_bytes.push(fs::metadata(file)?.len());
    }
    // Version 0 makes the table, 1 is the first load, every further one a batch.
    fs::create_dir_all(held(dir))?;
    for batch in 1..=shape.batches {
        let name = format!("{:020}.json", batch + 1);
        fs::rename(log_of(&dir.join("lake")).join(&name), held(dir).join(&name))?;
    }
    let input = Input {
        shape: shape.clone(),
        expected: shape.expected(&events, false),
        expected_without_late: shape.expected(&events, true),
        late: events.iter().filter(|event| event.late).count() as u64,
        change_bytes,
    };
    // The last step: a folder that has it is whole.
    Ok(fs::write(dir.join("input.json"), serde_json::to_vec_pretty(&input)?)?)
}

async fn staged(staging: &Table, rows: &Rows) -> Result<weir_lake::DataFile, Failure> {
    let hour = Hour::of_micros(rows.times.first().copied().unwrap_or_default());
    let batches = vec![rows.staging()?];
    Ok(staging.write_file(NewFile { partition: Partition::Hour(hour), batches, tags: BTreeMap::new() }).await?)
}

#[derive(Default)]
struct Rows {
    keys: Vec<i64>,
    images: Vec<Image>,
    ops: Vec<&'static str>,
    orders: Vec<OrderKey>,
    times: Vec<i64>,
    late: Vec<bool>,
    opens: Vec<bool>,
    create: Vec<bool>,
}

impl Rows {
    fn push(&mut self, event: &Event) {
        // Orders are far below 4 billion.
        let order = u32::try_from(event.order).unwrap_or(u32::MAX);
        let place = if event.batch == 0 { u16::try_from(event.key % 100).unwrap_or_default() } else { 0 };
        let lsn = Lsn::new(1, order, place);
        self.keys.push(i64::try_from(event.key).unwrap_or(i64::MAX));
        self.images.push(event.image);
        self.ops.push(if event.create { "c" } else { "u" });
        self.orders.push(SqlServerPosition { commit_lsn: lsn, change_lsn: Some(lsn), serial: 1 }.into());
        self.times.push(time(event.order));
        self.late.push(event.late);
        self.opens.push(event.opens);
        self.create.push(event.create);
    }

    fn columns(&self) -> Result<Vec<(&'static str, ArrayRef)>, Failure> {
        let text = |name: &str, of: fn(&Image) -> u32| -> ArrayRef {
            Arc::new(self.images.iter().map(|image| Some(format!("{name}-{}", of(image)))).collect::<StringArray>())
        };
        let number = |of: fn(&Image) -> u32| self.images.iter().map(of).map(i64::from).collect::<Vec<_>>();
        let amounts: Decimal128Array =
            number(|image| image.amount).into_iter().map(|cents| Some(cents.into())).collect();
        let level: Int32Array =
            number(|image| image.level).into_iter().map(|level| i32::try_from(level).ok()).collect();
        Ok(vec![
            ("customer_id", Arc::new(Int64Array::from(self.keys.clone()))),
            ("name", text("name", |image| image.name)),
            ("note", text("a note of some length", |image| image.note)),
            ("amount", Arc::new(amounts.with_precision_and_scale(12, 2)?)),
            ("city", text("city", |image| image.city)),
            ("segment", text("segment", |image| image.segment)),
            ("level", Arc::new(level)),
            ("plan", text("plan", |image| image.plan)),
        ])
    }

    /// As staging has them.
    fn staging(&self) -> Result<RecordBatch, Failure> {
        let mut columns = self.columns()?;
        columns.push(("_op", Arc::new(StringArray::from(self.ops.clone()))));
        let orders = self.orders.iter().map(OrderKey::as_bytes);
        columns.push(("_order_key", Arc::new(BinaryArray::from_iter_values(orders))));
        columns.push(("_source_ts", self.time()));
        batch(columns)
    }

    /// For contestants that take no order keys: told what a change does, so that they need not look.
    fn plain(&self) -> Result<RecordBatch, Failure> {
        let mut columns = self.columns()?;
        columns.push(("changed_at", self.time()));
        columns.push(("late", Arc::new(BooleanArray::from(self.late.clone()))));
        columns.push(("opens", Arc::new(BooleanArray::from(self.opens.clone()))));
        columns.push(("is_new", Arc::new(BooleanArray::from(self.create.clone()))));
        batch(columns)
    }

    fn time(&self) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(self.times.clone()).with_timezone("UTC"))
    }
}

fn batch(columns: Vec<(&'static str, ArrayRef)>) -> Result<RecordBatch, Failure> {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())?)
}

fn project(dir: &Path, shape: &Shape) -> Result<(), Failure> {
    let columns = "
  - {name: customer_id, type: bigint}
  - {name: name, type: nvarchar(50), scd: type1}
  - {name: note, type: nvarchar(50), scd: type1}
  - {name: amount, type: 'decimal(12,2)', scd: type1}
  - {name: city, type: nvarchar(50), scd: type2}
  - {name: segment, type: nvarchar(50), scd: type2}
  - {name: level, type: int, scd: type2}
  - {name: plan, type: nvarchar(50), scd: type2}
";
    let untracked = columns.replace(", scd: type1", ", nullable: true").replace(", scd: type2", ", nullable: true");
    let names = "customer_id, name, note, amount, city, segment, level, plan";
    let files = [
        ("weir.yaml", format!("name: bench\ncurated: {{buckets: {}}}\n", shape.buckets)),
        ("environments/dev.yaml", format!("lake: {{root: {}}}\n", dir.join("lake").display())),
        (
            "sources/bench.yaml",
            "connector: sqlserver\nserver: bench\ndatabase: Bench\nschema: dbo\ntables: [customer]\n".to_owned(),
        ),
        ("contracts/customer.yaml", format!("key: [customer_id]\ncolumns:{untracked}")),
        ("models/curated/dim_customer.sql", format!("SELECT {names} FROM staging.customer\n")),
        (
            "models/curated/dim_customer.yaml",
            format!("kind: dimension\nsurrogate_key: customer_key\nkey: [customer_id]\ncolumns:{columns}"),
        ),
    ];
    for (name, text) in files {
        let path = dir.join("project").join(name);
        fs::create_dir_all(path.parent().ok_or("a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}
