//! The keys of a first load. No record can tell that a key comes twice: all hashes are kept, and compared at
//! the end.

use backhaul_kit::KeyHash;

use super::spill::{Budget, Spill};
use super::{PlanError, PlanWriter};
use crate::snapshot::sealed::SealedKind;

const SUFFIX: &str = ".keys";

/// The key hashes of a scan, in memory or spilled.
pub(super) struct FirstLoad {
    budget: Budget,
    held: Vec<KeyHash>,
    spill: Option<Spill>,
}

impl FirstLoad {
    /// No key has come.
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, held: Vec::new(), spill: None }
    }

    /// Takes a key; its scratch file stands beside the plan.
    pub(super) fn push(&mut self, key: KeyHash, beside: &PlanWriter) -> Result<(), PlanError> {
        if let Some(spill) = &mut self.spill {
            return put(spill, key);
        }
        self.held.push(key);
        if self.held.len() * size_of::<KeyHash>() <= self.budget.rows {
            return Ok(());
        }
        let mut spill = Spill::new(beside.scratch(SUFFIX, SealedKind::Spill)?, self.budget);
        for key in std::mem::take(&mut self.held) {
            put(&mut spill, key)?;
        }
        self.spill = Some(spill);
        Ok(())
    }

    /// Keys that came more than once, sorted; one for every time but the first, as far as `most`, and how many
    /// there are in all.
    pub(super) fn repeated(self, most: usize) -> Result<(u64, Vec<KeyHash>), PlanError> {
        let Self { budget, mut held, spill } = self;
        let (mut count, mut repeated) = (0, Vec::new());
        let mut look_at = |keys: &mut Vec<KeyHash>| {
            keys.sort_unstable();
            for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
                count += 1;
                if repeated.len() < most {
                    repeated.push(pair[0]);
                }
            }
            keys.clear();
        };
        look_at(&mut held);
        if let Some(spill) = spill {
            let spilled = spill.into_reader()?;
            for partition in 0..budget.partitions {
                for chunk in spilled.partition(partition) {
                    let chunk = chunk?;
                    let (keys, rest) = chunk.as_chunks::<16>();
                    if !rest.is_empty() {
                        return Err(spilled.damaged());
                    }
                    held.extend(keys.iter().map(|key| KeyHash(u128::from_le_bytes(*key))));
                }
                look_at(&mut held);
            }
        }
        // Partitions ascend with the hash: so do the keys.
        Ok((count, repeated))
    }
}

fn put(spill: &mut Spill, key: KeyHash) -> Result<(), PlanError> {
    spill.push(key, |out| out.extend_from_slice(&key.0.to_le_bytes()))
}
