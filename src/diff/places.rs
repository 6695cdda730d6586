//! Finding by key hash among entries that somebody else holds.

use backhaul_kit::KeyHash;

/// An open-addressed table of places, plus 1; the hashes are random already.
#[derive(Default)]
pub(super) struct Places {
    table: Vec<u32>,
    len: usize,
}

impl Places {
    /// The place of `key`; `key_at` says which key stands at a place.
    #[inline]
    pub(super) fn find(&self, key: KeyHash, key_at: impl Fn(usize) -> KeyHash) -> Option<usize> {
        if self.table.is_empty() { None } else { self.slot(key, key_at).1 }
    }

    /// Says that `key` stands at `place`; gives the place where it stands already.
    pub(super) fn insert(
        &mut self,
        key: KeyHash,
        place: usize,
        key_at: impl Fn(usize) -> KeyHash,
    ) -> Result<(), usize> {
        if 2 * (self.len + 1) > self.table.len() {
            self.grow(&key_at);
        }
        match self.slot(key, key_at) {
            (_, Some(there)) => Err(there),
            (slot, None) => {
                self.table[slot] = place as u32 + 1;
                self.len += 1;
                Ok(())
            }
        }
    }

    fn grow(&mut self, key_at: &impl Fn(usize) -> KeyHash) {
        let larger = vec![0; (2 * self.table.len()).max(64)];
        let old = std::mem::replace(&mut self.table, larger);
        for place in old.into_iter().filter(|place| *place != 0) {
            let (slot, _) = self.slot(key_at(place as usize - 1), key_at);
            self.table[slot] = place;
        }
    }

    /// The slot of a key, and its place if it has one.
    #[inline]
    fn slot(&self, key: KeyHash, key_at: impl Fn(usize) -> KeyHash) -> (usize, Option<usize>) {
        let mask = self.table.len() - 1;
        let mut slot = key.0 as usize & mask;
        loop {
            match self.table[slot] {
                0 => return (slot, None),
                place if key_at(place as usize - 1) == key => return (slot, Some(place as usize - 1)),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}
