//! Finding by key hash among entries that somebody else holds.

use backhaul_kit::KeyHash;

/// An open-addressed table of places. A slot holds a place, plus 1, and half of its key's lower half: what differs
/// there is told apart without a look at the entries.
#[derive(Default)]
pub(super) struct Places {
    table: Vec<u64>,
    len: usize,
}

const PLACE: u64 = 0xffff_ffff;

/// The upper part of a key's slot; the lower chooses the slot.
#[inline]
fn tag(key: KeyHash) -> u64 {
    key.0 as u64 & !PLACE
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
                self.table[slot] = tag(key) | (place as u64 + 1);
                self.len += 1;
                Ok(())
            }
        }
    }

    fn grow(&mut self, key_at: &impl Fn(usize) -> KeyHash) {
        let larger = vec![0; (2 * self.table.len()).max(64)];
        let old = std::mem::replace(&mut self.table, larger);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            let (slot, _) = self.slot(key_at((entry & PLACE) as usize - 1), key_at);
            self.table[slot] = entry;
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
                entry if entry & !PLACE == tag(key) && key_at((entry & PLACE) as usize - 1) == key => {
                    return (slot, Some((entry & PLACE) as usize - 1));
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_at_its_place_and_no_other_is() {
        let key = |n: u32| KeyHash::of(&n.to_le_bytes(), 1);
        let keys: Vec<KeyHash> = (0..5000).map(key).collect();
        let mut places = Places::default();
        assert_eq!(places.find(keys[0], |_| unreachable!("nothing is in it")), None);
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(places.insert(*key, place, |at| keys[at]), Ok(()));
            assert_eq!(places.insert(*key, 0, |at| keys[at]), Err(place));
        }
        assert!(keys.iter().enumerate().all(|(place, key)| places.find(*key, |at| keys[at]) == Some(place)));
        assert!((5000..10_000).all(|n| places.find(key(n), |at| keys[at]).is_none()));
        // Alike in the half that chooses slot and tag.
        let twin = KeyHash(keys[7].0 ^ 1 << 100);
        assert_eq!(places.find(twin, |at| keys[at]), None);
    }
}
