//! Rows that wait for other rows of the same model: parents go first, and in a ring nobody does.

use backhaul_kit::KeyHash;

/// Which rows a row waits for, by key: 36 bytes each in memory, as long as rings are looked for.
#[derive(Debug, Default)]
pub(super) struct Waves {
    /// Row and parent; sorted once all are known.
    edges: Vec<(KeyHash, KeyHash)>,
}

/// Of a row while rings are looked for: nobody has come by, no ring comes after it, or (above these) its place on the
/// way at hand.
const UNSEEN: u32 = 0;
const DONE: u32 = 1;
const FIRST: u32 = 2;

impl Waves {
    /// The row waits for a parent.
    pub(super) fn add(&mut self, row: KeyHash, parent: KeyHash) {
        self.edges.push((row, parent));
    }

    /// The rows of a ring, if there is one, each followed by the one that it waits for.
    pub(super) fn ring(&mut self) -> Option<Vec<KeyHash>> {
        self.edges.sort_unstable();
        self.edges.dedup();
        let edges = &self.edges;
        let mut standing = vec![UNSEEN; edges.len()];
        // The first edge of a row stands for it; beside it the edge to follow next.
        let mut way: Vec<(usize, usize)> = Vec::new();
        for start in 0..edges.len() {
            let is_first = start == 0 || edges[start - 1].0 != edges[start].0;
            if is_first && standing[start] == UNSEEN {
                standing[start] = FIRST;
                way.push((start, start));
            }
            while let Some((row, next)) = way.last_mut() {
                let Some((_, parent)) = edges.get(*next).filter(|(of, _)| *of == edges[*row].0) else {
                    standing[*row] = DONE;
                    way.pop();
                    continue;
                };
                *next += 1;
                let at = edges.partition_point(|(of, _)| of < parent);
                if edges.get(at).is_none_or(|(of, _)| of != parent) {
                    continue;
                }
                match standing[at] {
                    UNSEEN => {
                        standing[at] = FIRST + way.len() as u32;
                        way.push((at, at));
                    }
                    DONE => {}
                    place => {
                        return Some(way[(place - FIRST) as usize..].iter().map(|(row, _)| edges[*row].0).collect());
                    }
                }
            }
        }
        None
    }

    /// Who is waited for.
    pub(super) fn into_parents(self) -> Parents {
        let mut keys: Vec<KeyHash> = self.edges.into_iter().map(|(_, parent)| parent).collect();
        keys.sort_unstable();
        keys.dedup();
        Parents { come: vec![false; keys.len()], keys }
    }
}

/// The rows that others wait for.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Sorted.
    keys: Vec<KeyHash>,
    /// Which of them are sent by this plan, or wait themselves.
    come: Vec<bool>,
}

impl Parents {
    /// Whether nobody is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The row is sent by this plan, or waits itself.
    pub(super) fn comes(&mut self, row: KeyHash) {
        if let Ok(at) = self.keys.binary_search(&row) {
            self.come[at] = true;
        }
    }

    /// Whether that was said of it.
    pub(super) fn is_coming(&self, row: KeyHash) -> bool {
        self.keys.binary_search(&row).is_ok_and(|at| self.come[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(edges: &[(u128, u128)]) -> Waves {
        let mut waves = Waves::default();
        edges.iter().for_each(|(row, parent)| waves.add(KeyHash(*row), KeyHash(*parent)));
        waves
    }

    /// From its smallest member on.
    fn ring(edges: &[(u128, u128)]) -> Option<Vec<u128>> {
        let mut ring: Vec<u128> = waves(edges).ring()?.into_iter().map(|row| row.0).collect();
        let first = ring.iter().enumerate().min_by_key(|(_, row)| **row).map_or(0, |(place, _)| place);
        ring.rotate_left(first);
        Some(ring)
    }

    #[test]
    fn trees_chains_and_diamonds_have_no_ring() {
        assert_eq!(ring(&[]), None);
        assert_eq!(ring(&[(2, 1), (3, 1), (4, 2), (4, 3), (5, 4), (6, 99)]), None);
        let chain: Vec<_> = (1..100_000).map(|row| (row + 1, row)).collect();
        assert_eq!(ring(&chain), None);
    }

    #[test]
    fn who_is_waited_for_comes_only_when_that_is_said() {
        let mut parents = waves(&[(2, 1), (3, 1), (4, 9)]).into_parents();
        [2, 1, 7].into_iter().for_each(|row| parents.comes(KeyHash(row)));
        assert!(parents.is_coming(KeyHash(1)) && !parents.is_coming(KeyHash(9)) && !parents.is_coming(KeyHash(2)));
        assert!(!parents.is_empty() && waves(&[]).into_parents().is_empty());
    }

    #[test]
    fn a_ring_is_found_wherever_one_begins_to_look_and_without_those_that_lead_into_it() {
        assert_eq!(ring(&[(7, 7)]), Some(vec![7]));
        assert_eq!(ring(&[(1, 2), (2, 3), (3, 1), (10, 1), (11, 10), (4, 5)]), Some(vec![1, 2, 3]));
        assert_eq!(ring(&[(1, 9), (1, 2), (2, 8), (2, 1)]), Some(vec![1, 2]));
    }
}
