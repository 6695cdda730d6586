//! Pages against a snapshot → a plan file. Pure and synchronous: no clock, no network, no async. Whoever rows refer to is
//! asked for through a [`Resolve`] that the run brings.

mod aside;
mod cause;
mod counts;
mod differ;
mod doubt;
mod eligible;
mod error;
mod hashes;
mod judge;
mod op;
mod places;
mod plan;
mod recall;
mod refer;
mod repeats;
mod request;
mod seen;
mod siblings;
mod spill;
mod standing;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod waiting;
mod waves;

pub use cause::{Cause, CauseCounts};
pub use counts::{PlanCounts, PlanSummary};
pub use differ::Differ;
pub use doubt::{Decision, Doubts, IN_DOUBT_CODE, in_doubt};
pub(crate) use eligible::Lists;
pub use eligible::{Draw, Eligibility, Given, ListColumn, Listed};
pub use error::{DiffError, PlanError};
pub(crate) use hashes::{Gathered, Hashes, Scratch};
pub use op::{Op, OpKind};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use plan::fuzzing;
pub use plan::{PlanHeader, PlanOps, PlanReader, PlanWriter};
use recall::Recall;
pub(crate) use refer::remote_ids;
pub use refer::{Answer, Reference, Resolve};
pub(crate) use repeats::Repeats;
pub use request::{PlanRequest, SiblingState};
pub use siblings::Sibling;
pub(crate) use spill::Budget;
pub use table::{TableDiffer, TableSnapshot};

use backhaul_kit::{FieldValue, Reason, Value};

/// Maps a warehouse record to the destination's fields.
pub trait RowMapper: Send + Sync {
    /// Names of the target fields, in order.
    fn fields(&self) -> &[String];

    /// The fields of a record whose values are in projection order.
    ///
    /// # Errors
    /// Why the row cannot be sent; it becomes a reject.
    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason>;

    /// The fields that are ids of other records: [`map`](Self::map) gives what finds these.
    fn references(&self) -> &[Reference] {
        &[]
    }

    /// What such a field becomes once its value is known: `default` where it is NULL, then what `null` says.
    fn settle(&self, place: usize, value: Value) -> FieldValue {
        let _ = place;
        FieldValue::Set(value)
    }

    /// The hashes that find a row with these fields at the destination, one a line, where it is found by such.
    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        let _ = fields;
        None
    }
}
