//! Other syncs that write to the same object: what they hold is not removed.

use backhaul_kit::KeyHash;

use super::judge::{KEY, MATCH_VALUE, REMOTE_ID, REMOVAL, parts};
use super::{DiffError, PlanRequest};
use crate::snapshot::{Details, NEVER_ACCEPTED, Records, Snapshot, SnapshotError};

/// What another sync of the group has delivered.
pub struct Sibling {
    /// The sync's name.
    pub sync: String,
    /// Its snapshot.
    pub snapshot: Snapshot,
}

impl Sibling {
    /// Adds those of the claims among `leaving` (sorted) that a live record holds: by its key, where the destination
    /// removes by keys, else by its addresses. `claim` makes a claim of a kind and a text.
    pub(super) fn claimed(
        &self,
        leaving: &[u64],
        request: &PlanRequest,
        claim: impl Fn(u64, &[u8]) -> u64,
        claimed: &mut Vec<(u64, u64)>,
    ) -> Result<(), DiffError> {
        let (mut details, mut records) = (Details::new(&self.snapshot), Records::new(&self.snapshot));
        let mut is_live = |ordinal: u64| {
            let record = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL);
            Ok::<_, SnapshotError>(record.is_some_and(|record| record.fingerprint != NEVER_ACCEPTED))
        };
        let mut note = |kind: u64, text: &[u8]| {
            let claim = Some(claim(kind, text)).filter(|claim| leaving.binary_search(claim).is_ok());
            claimed.extend(claim.map(|claim| (claim, REMOVAL)));
        };
        if request.removal_by_key {
            for ordinal in 0..self.snapshot.ordinals() {
                if is_live(ordinal)? {
                    note(KEY, &details.key(ordinal)?);
                }
            }
            return Ok(());
        }
        let (mut known, mut failed) = (0, None);
        details.all_addresses(|ordinal, [remote_id, match_value]| match is_live(ordinal) {
            Ok(true) => {
                known += u64::from(remote_id.is_some() || match_value.is_some());
                remote_id.into_iter().for_each(|id| note(REMOTE_ID, id));
                let values = match_value.into_iter().flat_map(|value| parts(value, request.hashes));
                values.for_each(|value| note(MATCH_VALUE, value));
            }
            Ok(false) => {}
            Err(error) => failed = Some(error),
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let records = self.snapshot.accepted() + self.snapshot.in_doubt();
        if known < records {
            return Err(DiffError::UnknownAddresses { sync: self.sync.clone(), records: records - known });
        }
        Ok(())
    }
}
