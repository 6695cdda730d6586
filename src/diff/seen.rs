//! Which records a row was found for.

/// One bit a record.
pub(super) struct Seen {
    words: Vec<u64>,
    records: u64,
}

impl Seen {
    /// No record was seen.
    pub(super) fn new(records: u64) -> Self {
        Self { words: vec![0; records.div_ceil(64) as usize], records }
    }

    /// Marks a record that exists; false if it was marked before.
    #[inline]
    pub(super) fn set(&mut self, ordinal: u64) -> bool {
        let (word, bit) = (&mut self.words[(ordinal / 64) as usize], 1 << (ordinal % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether a record was marked.
    pub(super) fn get(&self, ordinal: u64) -> bool {
        self.words[(ordinal / 64) as usize] >> (ordinal % 64) & 1 == 1
    }

    /// The records from `start` on that were not marked.
    pub(super) fn unset(&self, start: u64) -> impl Iterator<Item = u64> {
        let words = self.words.iter().zip((0..).step_by(64)).skip((start / 64) as usize);
        words
            .filter(|(word, _)| **word != u64::MAX)
            .flat_map(|(word, first)| (first..first + 64).filter(move |ordinal| word >> (ordinal - first) & 1 == 0))
            .skip_while(move |ordinal| *ordinal < start)
            .take_while(|ordinal| *ordinal < self.records)
    }
}
