//! What a row of Parquet costs: decoding its columns, hashing them, and a whole scan.
//!
//! ```text
//! cargo bench -p backhaul-connectors --features files --bench files
//! ```
//!
//! The table is that of `tests/bench/postgres`: 12 columns, about 186 B a row on PostgreSQL's wire. All threads of a scan
//! count on the wall clock; on a busy machine take the column "fastest".

#![expect(clippy::unwrap_used, reason = "a benchmark has nothing better to do with an error")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use backhaul_kit::config::{Problems, Secrets, SourceFile, parse};
use backhaul_kit::{Kit, Model, ModelQuery, Projection, RowDigest, RowPage, Scanned, Source};
use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::StreamExt as _;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

const ROWS: i64 = 200_000;

fn main() {
    divan::main();
}

fn text(of: impl Fn(i64) -> String) -> ArrayRef {
    Arc::new((0..ROWS).map(|n| Some(of(n))).collect::<StringArray>())
}

fn users() -> RecordBatch {
    let times = |start: i64, step: i64| -> ArrayRef {
        let times = (0..ROWS).map(|n| Some((start + n * step) * 1_000_000));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let mut tags = ListBuilder::new(StringBuilder::new());
    (0..ROWS).for_each(|n| tags.append_value([Some(format!("tag{}", n % 7)), Some(format!("tag{}", n % 11))]));
    let ltv = (0..ROWS).map(|n| Some(i128::from(n % 100_000))).collect::<Decimal128Array>();
    RecordBatch::try_from_iter([
        ("id", Arc::new((0..ROWS).collect::<Int64Array>()) as ArrayRef),
        ("email", text(|n| format!("user{n}@example.com"))),
        ("first_name", text(|n| format!("First{}", n % 5_000))),
        ("last_name", text(|n| format!("Last{}", n % 70_000))),
        ("country", text(|n| ["DE", "FR", "US", "GB", "JP"][(n % 5) as usize].to_owned())),
        ("plan", text(|n| ["free", "pro", "team"][(n % 3) as usize].to_owned())),
        ("created_at", times(1_577_836_800, 61)),
        ("updated_at", times(1_767_225_600, 7)),
        ("ltv", Arc::new(ltv.with_precision_and_scale(18, 2).unwrap())),
        ("tags", Arc::new(tags.finish())),
        ("attributes", text(|n| format!(r#"{{"score": {}, "source": "web"}}"#, n % 101))),
        ("active", Arc::new((0..ROWS).map(|n| Some(n % 13 != 0)).collect::<BooleanArray>())),
    ])
    .unwrap()
}

/// A project with `lake/users.parquet` and `lake/users.csv`.
fn lake() -> TempDir {
    let project = tempfile::tempdir().unwrap();
    let lake = project.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let batch = users();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        ArrowWriter::try_new(File::create(lake.join("users.parquet")).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    project
}

fn source(project: &Path) -> Arc<dyn Source> {
    let kind = backhaul_connectors::warehouses().iter().find(|kind| kind.name() == "files").unwrap();
    let text = String::from("root = \"lake\"\nquiet = false");
    let file = Arc::new(SourceFile { path: "backhaul.toml".into(), text });
    let config = kind.parse(&mut parse(&file, &Problems::default())).unwrap();
    config.open(Kit::new(Secrets::from_env(project))).unwrap()
}

/// Hands every page of a scan to `take`.
async fn scan(source: &dyn Source, mut take: impl FnMut(Box<dyn RowPage>)) {
    let model = Model {
        name: String::from("users"),
        query: ModelQuery::Files(String::from("users.parquet")),
        filter: None,
        since: None,
        parallel: false,
        timeout: None,
        idle_timeout: Duration::from_secs(60),
    };
    let mut scan = source.open(&model).await.unwrap();
    let columns: Vec<String> = scan.columns().await.unwrap().names().map(str::to_owned).collect();
    let mut pages = scan.pages(Projection { fingerprinted: columns.len(), columns, key: vec![0], seed: 42 });
    let mut ended = false;
    while let Some(scanned) = pages.next().await {
        match scanned.unwrap() {
            Scanned::Page(page) => take(page),
            Scanned::End { rows, .. } => ended = rows == ROWS as u64,
        }
    }
    assert!(ended, "the scan has no end");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn pages(project: &Path) -> Vec<Box<dyn RowPage>> {
    let mut pages = Vec::new();
    runtime().block_on(scan(&*source(project), |page| pages.push(page)));
    pages
}

/// Parquet to record batches, with the crate alone.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let project = lake();
    let path = project.path().join("lake/users.parquet");
    bencher.counter(ItemsCount::new(ROWS as u64)).bench(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        builder.with_batch_size(4096).build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    });
}

/// Record batches to digests.
#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    let pages = pages(lake().path());
    let mut digests: Vec<RowDigest> = Vec::new();
    bencher.counter(ItemsCount::new(ROWS as u64)).bench_local(|| {
        for page in &pages {
            digests.clear();
            page.digest(&mut digests).unwrap();
        }
        digests.len()
    });
}

/// A record of every row: what only changed rows cost.
#[divan::bench]
fn records(bencher: Bencher<'_, '_>) {
    let pages = pages(lake().path());
    bencher.counter(ItemsCount::new(ROWS as u64)).bench_local(|| {
        let rows = pages.iter().flat_map(|page| (0..page.rows()).map(move |row| page.record(row).unwrap().len()));
        rows.sum::<usize>()
    });
}

/// A whole scan whose pages are digested: decoding is a thread of its own.
#[divan::bench]
fn scan_and_digest(bencher: Bencher<'_, '_>) {
    let project = lake();
    let (source, runtime) = (source(project.path()), runtime());
    let mut digests: Vec<RowDigest> = Vec::new();
    bencher.counter(ItemsCount::new(ROWS as u64)).bench_local(|| {
        runtime.block_on(scan(&*source, |page| {
            digests.clear();
            page.digest(&mut digests).unwrap();
        }));
    });
}
