//! Fates by op number, in little memory: neighbours mostly share theirs.

/// Ops of a page.
const PAGE: usize = 4096;

/// A fate's code for every op; 0 is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Fates(Vec<Page>);

#[derive(Clone, Debug)]
enum Page {
    /// All ops have this code.
    All(u8),
    /// One code an op, and how many are 0.
    Each(Box<[u8; PAGE]>, usize),
}

impl Fates {
    /// The code of `op`.
    pub(super) fn get(&self, op: u64) -> u8 {
        let Ok(at) = usize::try_from(op) else { return 0 };
        match self.0.get(at / PAGE) {
            None => 0,
            Some(Page::All(code)) => *code,
            Some(Page::Each(codes, _)) => codes[at % PAGE],
        }
    }

    /// Gives `op` its code, which is not 0.
    pub(super) fn set(&mut self, op: u32, code: u8) {
        let (page, at) = (op as usize / PAGE, op as usize % PAGE);
        if page >= self.0.len() {
            self.0.resize(page + 1, Page::All(0));
        }
        let page = &mut self.0[page];
        if let Page::All(all) = page {
            if *all == code {
                return;
            }
            *page = Page::Each(Box::new([*all; PAGE]), if *all == 0 { PAGE } else { 0 });
        }
        let Page::Each(codes, open) = page else { return };
        let old = std::mem::replace(&mut codes[at], code);
        if old == 0 {
            *open -= 1;
            if *open == 0 && codes.iter().all(|other| *other == code) {
                *page = Page::All(code);
            }
        }
    }

    /// No op from this one on has a code.
    pub(super) fn end(&self) -> u64 {
        (self.0.len() * PAGE) as u64
    }

    /// The number of the first op without a code.
    pub(super) fn first_open(&self) -> u64 {
        let open = |page: &Page| match page {
            Page::All(code) => (*code == 0).then_some(0),
            Page::Each(codes, _) => codes.iter().position(|code| *code == 0),
        };
        let found = self.0.iter().enumerate().find_map(|(place, page)| Some(place * PAGE + open(page)?));
        found.unwrap_or(self.0.len() * PAGE) as u64
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        let each = self.0.iter().filter(|page| matches!(page, Page::Each(..))).count();
        self.0.capacity() * size_of::<Page>() + each * PAGE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fates_are_those_that_were_set(
            runs in prop::collection::vec((0u32..3 * PAGE as u32, 1u32..2 * PAGE as u32, 1u8..4), 0..8)
        ) {
            let (mut fates, mut naive) = (Fates::default(), BTreeMap::new());
            for (first, count, code) in runs {
                for op in first..first + count {
                    fates.set(op, code);
                    naive.insert(u64::from(op), code);
                }
            }
            for op in 0..6 * PAGE as u64 {
                prop_assert_eq!(fates.get(op), naive.get(&op).copied().unwrap_or(0), "op {}", op);
            }
            let open = (0..).find(|op| !naive.contains_key(op));
            prop_assert_eq!(Some(fates.first_open()), open);
        }
    }

    #[test]
    fn ten_million_ops_that_went_well_take_next_to_nothing() {
        let mut fates = Fates::default();
        for op in 0..10_000_000 {
            fates.set(op, 1);
        }
        assert!(fates.footprint() < 100_000, "{} bytes", fates.footprint());
    }
}
