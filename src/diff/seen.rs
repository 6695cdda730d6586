//! Which records a row was found for.

use super::Cause;

/// One bit a record; and four for those of rows that may not be sent, where there are any.
pub(super) struct Seen {
    words: Vec<u64>,
    /// 16 records a word: 0, or the code of the cause for which the record is removed though its row is there.
    causes: Vec<u64>,
    records: u64,
}

impl Seen {
    /// No record was seen.
    pub(super) fn new(records: u64) -> Self {
        Self { words: vec![0; records.div_ceil(64) as usize], causes: Vec::new(), records }
    }

    /// Marks a record that exists; false if a row was found for it before.
    #[inline]
    pub(super) fn set(&mut self, ordinal: u64) -> bool {
        if !self.causes.is_empty() && self.cause(ordinal) != Cause::Left {
            return false;
        }
        let (word, bit) = (&mut self.words[(ordinal / 64) as usize], 1 << (ordinal % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes the mark of a record back: its row is there, and may not be sent.
    pub(super) fn turn_away(&mut self, ordinal: u64, cause: Cause) {
        self.words[(ordinal / 64) as usize] &= !(1 << (ordinal % 64));
        if self.causes.is_empty() {
            self.causes = vec![0; self.records.div_ceil(16) as usize];
        }
        self.causes[(ordinal / 16) as usize] |= u64::from(cause.code() & 15) << (ordinal % 16 * 4);
    }

    /// Why a record that is not marked is removed.
    pub(super) fn cause(&self, ordinal: u64) -> Cause {
        let word = self.causes.get((ordinal / 16) as usize).copied().unwrap_or(0);
        Cause::of_code((word >> (ordinal % 16 * 4) & 15) as u8).unwrap_or_default()
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
