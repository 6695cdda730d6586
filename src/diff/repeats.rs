//! What comes more than once in a scan, where no record can tell: all hashes are kept, and compared at the end.

use backhaul_kit::KeyHash;

use super::PlanError;
use super::spill::{Budget, Spill};
use crate::snapshot::sealed::SealedWriter;

/// Hashes of a scan's keys, or of other values, in memory or spilled.
pub(crate) struct Repeats {
    budget: Budget,
    held: Vec<KeyHash>,
    spill: Option<Spill>,
}

impl Repeats {
    /// Nothing has come.
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, held: Vec::new(), spill: None }
    }

    /// Takes a hash; `scratch` makes the file that those go to which memory has no room for.
    pub(crate) fn push(
        &mut self,
        key: KeyHash,
        scratch: impl FnOnce() -> Result<SealedWriter, PlanError>,
    ) -> Result<(), PlanError> {
        if let Some(spill) = &mut self.spill {
            return put(spill, key);
        }
        self.held.push(key);
        if self.held.len() * size_of::<KeyHash>() <= self.budget.rows {
            return Ok(());
        }
        let mut spill = Spill::new(scratch()?, self.budget);
        for key in std::mem::take(&mut self.held) {
            put(&mut spill, key)?;
        }
        self.spill = Some(spill);
        Ok(())
    }

    /// Hashes that came more than once, sorted; one for every time but the first, as far as `most`, and how many
    /// there are in all.
    pub(crate) fn repeated(self, most: usize) -> Result<(u64, Vec<KeyHash>), PlanError> {
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
