//! Reproducible random numbers and row orders.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// How the rows of a scan are ordered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Same,
    Rotated,
    Reversed,
    Chunks,
    Random,
}

impl Order {
    pub(super) fn apply<T>(self, rows: &mut Vec<T>, random: &mut Random) {
        match self {
            Self::Same => {}
            Self::Rotated => {
                let by = random.below(rows.len() as u64) as usize;
                rows.rotate_left(by);
            }
            Self::Reversed => rows.reverse(),
            Self::Chunks => {
                let size = 1 + random.below(300) as usize;
                let mut chunks: Vec<Vec<T>> = Vec::new();
                while !rows.is_empty() {
                    chunks.push(rows.drain(..size.min(rows.len())).collect());
                }
                random.shuffle(&mut chunks);
                rows.extend(chunks.into_iter().flatten());
            }
            Self::Random => random.shuffle(rows),
        }
    }
}
