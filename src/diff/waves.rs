//! Rows that wait for other rows of the same model: parents go first, and in a ring nobody does.

use std::collections::HashMap;

use backhaul_kit::KeyHash;

/// Which rows a row waits for, by key. In memory: rows wait only until their parents are accepted.
#[derive(Debug, Default)]
pub(super) struct Waves {
    parents: HashMap<KeyHash, Vec<KeyHash>>,
}

impl Waves {
    /// The row waits for a parent.
    pub(super) fn add(&mut self, row: KeyHash, parent: KeyHash) {
        self.parents.entry(row).or_default().push(parent);
    }

    /// The rows that are waited for.
    pub(super) fn parents(&self) -> impl Iterator<Item = KeyHash> {
        self.parents.values().flatten().copied()
    }

    /// The rows of a ring, if there is one, each followed by the one that it waits for.
    pub(super) fn ring(&self) -> Option<Vec<KeyHash>> {
        // How far along the row at hand a row is, or that no ring comes after it.
        let mut standing: HashMap<KeyHash, Option<usize>> = HashMap::with_capacity(self.parents.len());
        for start in self.parents.keys() {
            let mut way: Vec<(KeyHash, usize)> = vec![(*start, 0)];
            while let Some((row, next)) = way.last_mut() {
                let row = *row;
                if *next == 0 {
                    match standing.get(&row) {
                        Some(None) => {
                            way.pop();
                            continue;
                        }
                        Some(Some(first)) => {
                            let first = *first;
                            return Some(way[first..way.len() - 1].iter().map(|(row, _)| *row).collect());
                        }
                        None => drop(standing.insert(row, Some(way.len() - 1))),
                    }
                }
                let (_, next) = way.last_mut()?;
                match self.parents.get(&row).and_then(|parents| parents.get(*next)) {
                    Some(parent) => {
                        *next += 1;
                        way.push((*parent, 0));
                    }
                    None => {
                        standing.insert(row, None);
                        way.pop();
                    }
                }
            }
        }
        None
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
    fn a_ring_is_found_wherever_one_begins_to_look_and_without_those_that_lead_into_it() {
        assert_eq!(ring(&[(7, 7)]), Some(vec![7]));
        assert_eq!(ring(&[(1, 2), (2, 3), (3, 1), (10, 1), (11, 10), (4, 5)]), Some(vec![1, 2, 3]));
        assert_eq!(ring(&[(1, 9), (1, 2), (2, 8), (2, 1)]), Some(vec![1, 2]));
    }
}
