//! A batch as rows of cells, by the columns that they write.

use backhaul_kit::{Batch, FieldRef, Operation, Reason, Row, WritePolicy};

use super::database::Database;
use super::sync::SqlSync;
use super::table::Column;

/// A row that can be sent.
#[derive(Clone, Debug)]
pub(super) struct DraftRow<C> {
    /// Its place in the batch.
    pub(super) place: usize,
    /// The match value by which its record is found.
    pub(super) address: Option<C>,
    /// Values of the columns of its group.
    pub(super) cells: Vec<C>,
}

/// Rows that write the same columns.
#[derive(Clone, Debug)]
pub(super) struct Group<C> {
    /// Places of the columns among those of the sync.
    pub(super) columns: Vec<usize>,
    pub(super) rows: Vec<DraftRow<C>>,
}

/// What is sent of a batch, and what cannot be.
#[derive(Debug)]
pub(super) struct Draft<C> {
    pub(super) groups: Vec<Group<C>>,
    /// Rows refused here, by place.
    pub(super) refused: Vec<(usize, Reason)>,
}

impl<C: Clone> Draft<C> {
    /// Drafts a batch for a sync whose columns are these.
    pub(super) fn of<D: Database<Cell = C>>(sync: &SqlSync, columns: &[&Column], batch: &Batch) -> Self {
        let mut draft = Self { groups: Vec::new(), refused: Vec::new() };
        for (place, row) in batch.rows.iter().enumerate() {
            match draft_row::<D>(sync, columns, batch.operation, place, row) {
                Ok((written, drafted)) => draft.put(written, drafted),
                Err(reason) => draft.refused.push((place, reason)),
            }
        }
        draft
    }

    fn put(&mut self, columns: Vec<usize>, row: DraftRow<C>) {
        // Mostly all rows write the same columns.
        match self.groups.iter_mut().find(|group| group.columns == columns) {
            Some(group) => group.rows.push(row),
            None => self.groups.push(Group { columns, rows: vec![row] }),
        }
    }

    /// The rows that are sent.
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }
}

fn draft_row<D: Database>(
    sync: &SqlSync,
    columns: &[&Column],
    operation: Operation,
    place: usize,
    row: &Row,
) -> Result<(Vec<usize>, DraftRow<D::Cell>), Reason> {
    let matched = sync.match_place.and_then(|at| Some((at, *columns.get(at)?)));
    // The record is found by what is remembered of it, or by the value that the row has now.
    let old = matches!(operation, Operation::Move | Operation::Delete | Operation::Clear);
    let mut address = match matched.filter(|_| old) {
        Some((_, column)) => {
            let text = row.address.match_value.as_deref().ok_or_else(no_address)?;
            Some(D::address(column, text).map_err(|reason| in_column(reason, column))?)
        }
        None => None,
    };
    if operation == Operation::Clear {
        // What somebody else may have put there is left alone.
        let is_ours = |at: &usize| Some(*at) != sync.match_place && sync.writes.get(*at) == Some(&WritePolicy::Always);
        let others = (0..columns.len()).filter(is_ours).collect();
        return Ok((others, DraftRow { place, address, cells: Vec::new() }));
    }
    let (mut written, mut cells) = (Vec::new(), Vec::new());
    for (at, (field, column)) in row.fields.iter().zip(columns).enumerate() {
        let cell = match field {
            FieldRef::Skip => continue,
            FieldRef::Clear => D::null(),
            FieldRef::Set(value) => D::cell(column, value).map_err(|reason| in_column(reason, column))?,
        };
        if Some(at) == sync.match_place {
            if field.value().is_none_or(backhaul_kit::ValueRef::is_null) {
                return Err(no_match_value());
            }
            if operation == Operation::Update {
                address = Some(cell);
                continue;
            }
        }
        written.push(at);
        cells.push(cell);
    }
    let finds = matches!(operation, Operation::Upsert | Operation::Move);
    if finds && sync.match_place.is_some_and(|at| !written.contains(&at))
        || operation == Operation::Update && address.is_none()
    {
        return Err(no_match_value());
    }
    Ok((written, DraftRow { place, address, cells }))
}

fn in_column(reason: Reason, column: &Column) -> Reason {
    Reason { field: Some(column.name.clone()), ..reason }
}

fn no_address() -> Reason {
    Reason::new("NO_ADDRESS", "no match value of the row is known")
}

fn no_match_value() -> Reason {
    Reason::new("NO_MATCH_VALUE", "the match column has no value in this row")
}
