//! One record. A million of them fit into memory because the values of each are packed into one
//! allocation: property number (2 bytes), length (4 bytes), text.

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    packed: Box<[u8]>,
    /// When it was created, in milliseconds since 1970.
    pub(super) created: i64,
    /// When it was last written, in milliseconds since 1970.
    pub(super) updated: i64,
    /// Whether it was archived.
    pub(super) archived: bool,
}

impl Record {
    /// An empty record.
    pub(super) fn new(now: i64) -> Self {
        Self { packed: Box::default(), created: now, updated: now, archived: false }
    }

    /// Its values by property number, in the order of the numbers.
    pub(super) fn values(&self) -> Values<'_> {
        Values(&self.packed)
    }

    /// The value of a property.
    pub(super) fn value(&self, property: u16) -> Option<&str> {
        self.values().find(|(number, _)| *number == property).map(|(_, value)| value)
    }

    /// Sets values; the empty text takes a value away.
    pub(super) fn set(&mut self, changes: &[(u16, String)], now: i64) {
        let mut values: Vec<(u16, &str)> =
            self.values().filter(|(number, _)| changes.iter().all(|(changed, _)| changed != number)).collect();
        values.extend(changes.iter().filter(|(_, v)| !v.is_empty()).map(|(number, value)| (*number, value.as_str())));
        values.sort_unstable_by_key(|(number, _)| *number);
        let mut packed = Vec::with_capacity(values.iter().map(|(_, value)| value.len() + 6).sum());
        for (number, value) in values {
            packed.extend_from_slice(&number.to_le_bytes());
            packed.extend_from_slice(&(value.len() as u32).to_le_bytes());
            packed.extend_from_slice(value.as_bytes());
        }
        self.packed = packed.into();
        self.updated = now;
    }
}

/// The values of a record.
pub(super) struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = (u16, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (number, rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some((u16::from_le_bytes(*number), std::str::from_utf8(text).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_replaced_and_emptied() {
        let mut record = Record::new(1);
        record.set(&[(7, "seven".into()), (2, "two".into())], 2);
        record.set(&[(7, String::new()), (3, "drei".into()), (2, "zwei".into())], 3);
        assert_eq!(record.values().collect::<Vec<_>>(), [(2, "zwei"), (3, "drei")]);
        assert_eq!((record.value(7), record.created, record.updated), (None, 1, 3));
    }
}
