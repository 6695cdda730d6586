//! Whole scans of folders.

mod damage;
mod listing;
mod since;
mod text;
mod types;
mod unsettled;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use backhaul_kit::{Fault, Model, ModelQuery, Source};
use tempfile::TempDir;

use super::super::testing::{Whole, refused, scan, source, sql};
use super::FilesKind;

/// A folder `lake` of files, and the warehouse over it.
struct Lake {
    project: TempDir,
    source: Arc<dyn Source>,
}

impl Lake {
    /// One whose files need not have been quiet.
    fn new() -> Self {
        Self::with("quiet = false")
    }

    /// One with these settings.
    fn with(settings: &str) -> Self {
        let project = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(project.path().join("lake")).expect("made");
        let source = source(&FilesKind, &format!("root = \"lake\"\n{settings}"), project.path()).expect("a source");
        Self { project, source }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.project.path().join("lake").join(path)
    }

    /// Writes a file, and the folders that it is in.
    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    /// The rows of a model whose first column is the key.
    async fn scan(&self, files: &str, columns: &[&str]) -> Result<Whole, Fault> {
        scan(&*self.source, &model(files), columns, 1).await
    }

    /// The fault with which a model is refused before its first row.
    async fn refused(&self, files: &str) -> Fault {
        refused(&*self.source, &model(files)).await
    }

    /// The names and types of a model's columns.
    async fn columns(&self, files: &str) -> Vec<String> {
        let mut open = self.source.open(&model(files)).await.expect("open");
        let schema = open.columns().await.expect("columns");
        schema.columns.iter().map(|column| format!("{}: {}", column.name, column.class)).collect()
    }
}

fn model(files: &str) -> Model {
    Model { query: ModelQuery::Files(files.into()), ..sql("") }
}

/// A Parquet file of these columns.
fn parquet_file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, array.clone(), true)));
    write_parquet(&[batch.expect("a batch")], None)
}

fn write_parquet(batches: &[RecordBatch], properties: Option<parquet::file::properties::WriterProperties>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batches[0].schema(), properties).expect("a writer");
    batches.iter().for_each(|batch| writer.write(batch).expect("written"));
    writer.close().expect("closed");
    bytes
}
