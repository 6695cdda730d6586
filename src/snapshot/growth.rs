//! How far a model that grows was delivered: the watermark, and the keys before it that were not accepted.
//!
//! Both change when a run is settled, with its manifest, and never before: a row that a scan has seen is no row that
//! the destination has. What was not accepted is asked for again by its key. Where a run did not look at all of its
//! rows, or leaves more keys open than can be asked for, nothing moves: the next scan begins where this one did.

use std::collections::BTreeSet;

use backhaul_kit::value::{put_bytes, take_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::FileError;
use super::seal::StateKey;
use super::{Settle, SnapshotError};
use crate::diff::{Op, OpKind, PlanReader};

const CONTEXT: &[u8] = b"manifest/open-keys";
/// So many keys are asked for again at most …
const MOST_KEYS: usize = 5000;
/// … of so many bytes together: what asks for them is one statement.
const MOST_BYTES: usize = 256 << 10;

/// What the scan of a plan asked its growing model for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growing {
    /// The column that says when a row came.
    pub column: String,
    /// The model's key.
    pub key: Vec<String>,
    /// Earlier rows are none of the sync's; `None` for all.
    pub begin: Option<Timestamp>,
    /// The first moment that was asked for; `None` for all.
    pub from: Option<Timestamp>,
}

/// How far the model was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    column: String,
    key: Vec<String>,
    /// What `begin` was when the first run was settled.
    pub begin: Option<Timestamp>,
    /// The newest row that settled runs have seen; rows before it were accepted, or their keys are open.
    pub watermark: Option<Timestamp>,
    /// The open keys, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<String>,
}

impl Growth {
    /// Whether it speaks of this column of a model with this key.
    pub fn is_of(&self, column: &str, key: &[String]) -> bool {
        self.column == column && self.key == key
    }

    /// The keys that were asked for and not accepted, canonical and sorted; `None` where they cannot be read.
    pub(super) fn open_keys(&self, key: &StateKey) -> Option<Vec<Vec<u8>>> {
        let Some(sealed) = &self.open else { return Some(Vec::new()) };
        let plain = key.open_blob(CONTEXT, &STANDARD.decode(sealed).ok()?)?;
        let (mut rest, mut keys) = (plain.as_slice(), Vec::new());
        while !rest.is_empty() {
            keys.push(take_bytes(&mut rest)?.to_vec());
        }
        Some(keys)
    }
}

/// The keys of a plan whose rows the destination has not accepted, as far as they can be asked for.
#[derive(Default)]
pub(super) struct OpenKeys {
    keys: BTreeSet<Vec<u8>>,
    bytes: usize,
    too_many: bool,
}

impl OpenKeys {
    /// Takes an op and what became of it.
    pub(super) fn note(&mut self, op: &Op, fate: Settle) {
        if fate == Settle::Accepted || matches!(op.kind, OpKind::Remove | OpKind::Forget) || self.too_many {
            return;
        }
        self.bytes += op.key.len();
        self.keys.insert(op.key.to_vec());
        self.too_many = self.keys.len() > MOST_KEYS || self.bytes > MOST_BYTES;
    }

    /// How far the model is delivered once the plan is settled; `was` is what was known before, with its open keys.
    pub(super) fn settle(
        self,
        plan: &PlanReader,
        was: Option<(&Growth, &[Vec<u8>])>,
        key: &StateKey,
    ) -> Result<Option<Growth>, SnapshotError> {
        let Some(growing) = &plan.header().growing else { return Ok(None) };
        let was = was.filter(|(growth, _)| growth.is_of(&growing.column, &growing.key));
        let mut now = Growth {
            column: growing.column.clone(),
            key: growing.key.clone(),
            begin: growing.begin,
            watermark: was.and_then(|(growth, _)| growth.watermark),
            open: was.and_then(|(growth, _)| growth.open.clone()),
        };
        let counts = &plan.summary().counts;
        if self.too_many {
            tracing::warn!(
                column = %now.column,
                "too many rows are not accepted to be asked for by key: the next scan begins where this one did"
            );
        } else if counts.left_alone + counts.postponed == 0 {
            now.watermark = now.watermark.max(plan.summary().newest);
            if !was.map_or(&[][..], |(_, open)| open).iter().eq(&self.keys) {
                now.open = self.seal(key)?;
            }
        }
        Ok(Some(now))
    }

    fn seal(&self, key: &StateKey) -> Result<Option<String>, FileError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let mut plain = Vec::with_capacity(self.bytes + 2 * self.keys.len());
        self.keys.iter().for_each(|open| put_bytes(open, &mut plain));
        Ok(Some(STANDARD.encode(key.seal_blob(CONTEXT, &plain)?)))
    }
}
