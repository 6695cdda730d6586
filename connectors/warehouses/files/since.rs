//! Which rows are asked for, where a model grows ([`Since`]). Files answer no questions: all rows are read, and those that
//! are not asked for end here. Times are compared as moments, whatever their text looks like.

use std::collections::HashSet;
use std::sync::Arc;

use backhaul_kit::{Fault, KeyHash, Projection, RowDecoder, RowDigest, RowPage, Since, Value, key};

/// Says which rows those are.
pub(super) struct Asked {
    /// Place of the column that says when a row came.
    place: usize,
    from: i64,
    open: HashSet<KeyHash>,
}

impl Asked {
    /// Of rows of this projection; `None` where all rows are asked for.
    ///
    /// # Errors
    /// The projection lacks the column, or a key has no canonical form: neither comes from the engine.
    pub(super) fn new(since: &Since, projection: &Projection) -> Result<Option<Self>, Fault> {
        let Some(from) = since.from else { return Ok(None) };
        let place = projection.columns.iter().position(|column| *column == since.column);
        let place = place.ok_or_else(|| Fault::bug("the column by which a model grows is not among those scanned"))?;
        let hash = |parts: &Vec<Value>| {
            let bytes = key::encode(&parts.iter().collect::<Vec<_>>()).ok()?;
            Some(KeyHash::of(&bytes, projection.seed))
        };
        let open = since.keys.iter().map(hash).collect::<Option<_>>();
        Ok(Some(Self { place, from, open: open.ok_or_else(|| Fault::bug("an open key has no canonical form"))? }))
    }

    /// The rows of the page that came at that moment or later, those of which nobody knows when, and those whose keys are
    /// asked for.
    ///
    /// # Errors
    /// The page cannot be read.
    pub(super) fn of(&self, page: Box<dyn RowPage>) -> Result<Part, Fault> {
        let mut all = Vec::with_capacity(page.rows());
        page.digest(&mut all)?;
        let (mut rows, mut digests) = (Vec::new(), Vec::new());
        for (row, digest) in all.into_iter().enumerate() {
            let moment = page.value(row, self.place)?.moment();
            if moment.is_none_or(|moment| moment >= self.from) || self.open.contains(&digest.key) {
                rows.push(row);
                digests.push(digest);
            }
        }
        Ok(Part { page, rows, digests })
    }
}

/// Some rows of a page.
pub(super) struct Part {
    page: Box<dyn RowPage>,
    /// Their places in the page.
    rows: Vec<usize>,
    digests: Vec<RowDigest>,
}

impl Part {
    fn place(&self, row: usize) -> Result<usize, Fault> {
        self.rows.get(row).copied().ok_or_else(|| Fault::bug("a row was asked of a page that does not have it"))
    }
}

impl RowPage for Part {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        out.extend_from_slice(&self.digests);
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.page.key(self.place(row)?, out)
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        self.page.record(self.place(row)?)
    }

    fn value(&self, row: usize, column: usize) -> Result<Value, Fault> {
        self.page.value(self.place(row)?, column)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.page.raw(self.place(row)?, out)
    }

    fn decoder(&self) -> Arc<dyn RowDecoder> {
        self.page.decoder()
    }
}
