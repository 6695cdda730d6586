//! Parquet files, batch after batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use backhaul_kit::{Column, Fault, Projection};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type;
use parquet::errors::ParquetError;

use super::super::arrow::{ArrowPage, Form, Layout};
use super::scan::{Emit, PAGE_BYTES, PAGE_ROWS, malformed};

/// The columns of the schema.
///
/// # Errors
/// `Transient` where the file cannot be read, or has no sound footer.
pub(super) fn columns(file: &File, path: &Path) -> Result<Vec<Column>, Fault> {
    let metadata = metadata(file).map_err(|e| malformed(path, e))?;
    let column = |field: &Arc<Field>| Column {
        name: field.name().clone(),
        class: Form::of(field).class(),
        native: field.data_type().to_string(),
    };
    Ok(metadata.schema().fields().iter().map(column).collect())
}

/// Hands over all rows; returns how many, which is what the footer says.
///
/// # Errors
/// The file is no Parquet, or is cut; what `emit` says.
pub(super) fn read(file: File, path: &Path, projection: &Projection, emit: &mut Emit<'_>) -> Result<u64, Fault> {
    let broken = |e: ParquetError| malformed(path, e);
    let metadata = metadata(&file).map_err(broken)?;
    let schema = metadata.schema().clone();
    let roots = projection.columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
    let roots = roots.map_err(|_| malformed(path, "has other columns than before"))?;
    let layout = Layout::new(roots.iter().map(|root| schema.field(*root)), projection.key.clone(), projection.seed)?
        .fingerprinting(projection.fingerprinted);
    let layout = Arc::new(layout);
    let expected = rows(&metadata).ok_or_else(|| malformed(path, "its footer contradicts itself"))?;

    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
    let batch_rows = batch_rows(&metadata, &mask);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
        .map_err(broken)?;
    // Batches have the file's order.
    let mut in_file = roots.clone();
    in_file.sort_unstable();
    let places: Vec<usize> = roots.iter().filter_map(|root| in_file.binary_search(root).ok()).collect();
    let mut count = 0;
    for batch in reader {
        let batch = batch.and_then(|batch| batch.project(&places)).map_err(|e| malformed(path, e))?;
        count += batch.num_rows() as u64;
        emit(Box::new(ArrowPage::new(batch, layout.clone())))?;
    }
    if count != expected {
        return Err(malformed(path, format!("has {count} rows, but its footer counts {expected}")));
    }
    Ok(count)
}

/// The footer, and the Arrow schema that its columns are read by.
fn metadata(file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let with_int96: Vec<usize> = metadata
        .parquet_schema()
        .columns()
        .iter()
        .enumerate()
        .filter(|(_, column)| column.physical_type() == Type::INT96)
        .map(|(leaf, _)| metadata.parquet_schema().get_column_root_idx(leaf))
        .collect();
    if with_int96.is_empty() {
        return Ok(metadata);
    }
    // INT96 counts nanoseconds, of which an `i64` holds no more than the years 1677 to 2262; dates beyond would come out
    // as others.
    let micros = |(root, field): (usize, &Arc<Field>)| match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if with_int96.contains(&root) => {
            let of = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            Arc::new(field.as_ref().clone().with_data_type(of))
        }
        _ => field.clone(),
    };
    let fields: Fields = metadata.schema().fields().iter().enumerate().map(micros).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}

/// The footer's count of rows, which must be that of its row groups.
fn rows(metadata: &ArrowReaderMetadata) -> Option<u64> {
    let metadata = metadata.metadata();
    let mut sum = 0u64;
    for group in metadata.row_groups() {
        sum = sum.checked_add(u64::try_from(group.num_rows()).ok()?)?;
    }
    (u64::try_from(metadata.file_metadata().num_rows()) == Ok(sum)).then_some(sum)
}

/// So many rows that a page is of its usual size.
fn batch_rows(metadata: &ArrowReaderMetadata, mask: &ProjectionMask) -> usize {
    let (mut rows, mut bytes) = (0u64, 0u64);
    for group in metadata.metadata().row_groups() {
        rows = rows.saturating_add(u64::try_from(group.num_rows()).unwrap_or_default());
        for (leaf, column) in group.columns().iter().enumerate() {
            if mask.leaf_included(leaf) {
                bytes = bytes.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or_default());
            }
        }
    }
    let row_bytes = bytes.checked_div(rows).unwrap_or_default().max(1);
    usize::try_from(PAGE_BYTES as u64 / row_bytes).map_or(PAGE_ROWS, |rows| rows.clamp(1, PAGE_ROWS))
}
