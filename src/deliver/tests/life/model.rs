//! Rows that change from version to version. No two live rows share an address.

use std::collections::{BTreeMap, BTreeSet};

use crate::deliver::tests::dice::Dice;
use crate::diff::tests::{REFUSED, TestRow};

/// Keys that come and go.
const KEYS: i64 = 40;

/// The rows of a version, by key.
pub(super) type Version = BTreeMap<i64, TestRow>;

/// The model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) rows: Version,
    /// The address that each key had last.
    addresses: BTreeMap<i64, String>,
    /// Keys that were merged into others. They do not come back: in a plan in which one key gives up an address and
    /// another takes it, the order of the two is not known to be right (`docs/guarantees.md`).
    merged: BTreeSet<i64>,
    fresh: u64,
}

impl Model {
    /// The next version. Keys in `unsure` stay where they are: their record may be at either of two addresses, and
    /// only one of them is remembered (`snapshot/DESIGN.md`).
    pub(super) fn change(&mut self, dice: &mut Dice, unsure: &BTreeSet<i64>) {
        for id in 0..KEYS {
            match (self.rows.contains_key(&id), unsure.contains(&id), dice.roll(20)) {
                (false, false, 0..6) if !self.merged.contains(&id) => self.come(id, dice),
                (true, false, 0) => drop(self.rows.remove(&id)),
                (true, false, 1) => {
                    let address = self.fresh_address(id);
                    self.move_to(id, address);
                }
                (true, false, 2) => self.take_over(id, dice, unsure),
                (true, _, 3..6) => self.row(id).n = dice.roll(5).cast_signed(),
                (true, _, 6) => self.row(id).note += 1,
                (true, _, 7) if dice.roll(4) == 0 => self.row(id).n = REFUSED,
                _ => {}
            }
        }
    }

    /// Nothing is left that the mapper refuses.
    pub(super) fn mend(&mut self) {
        self.rows.values_mut().filter(|row| row.n == REFUSED).for_each(|row| row.n = 1);
    }

    fn row(&mut self, id: i64) -> &mut TestRow {
        self.rows.get_mut(&id).expect("a live row")
    }

    fn come(&mut self, id: i64, dice: &mut Dice) {
        let taken = |address: &String| self.rows.values().any(|row| row.email == *address);
        let known = self.addresses.get(&id).filter(|address| !taken(address)).cloned();
        let address = known.unwrap_or_else(|| self.fresh_address(id));
        self.rows.insert(id, TestRow::new(id, &address, dice.roll(5).cast_signed()));
        self.addresses.insert(id, address);
    }

    fn fresh_address(&mut self, id: i64) -> String {
        self.fresh += 1;
        format!("{id}-{}@example.com", self.fresh)
    }

    fn move_to(&mut self, id: i64, address: String) {
        self.row(id).email.clone_from(&address);
        self.addresses.insert(id, address);
    }

    /// Another key is merged into this one: it leaves, and its address is this one's.
    fn take_over(&mut self, id: i64, dice: &mut Dice, unsure: &BTreeSet<i64>) {
        let other = dice.roll(KEYS as u64).cast_signed();
        if other == id || unsure.contains(&other) {
            return;
        }
        if let Some(left) = self.rows.remove(&other) {
            self.merged.insert(other);
            self.move_to(id, left.email);
        }
    }
}
