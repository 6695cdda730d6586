//! The rows of a comparison: what the server sent in one tuple is taken apart into a row of the model and what the
//! table has for it.

use std::sync::Arc;

use backhaul_kit::{Address, ComparedPage, Fault, Gone, Mark, Recorded, key};

use super::super::copy::Tuples;
use super::super::decode::put_key;
use super::super::layout::{Field, Layout, Values};
use super::super::page::TuplePage;
use super::super::types::Wire;
use super::columns::KeyColumn;
use super::query::{CLAIMS, EXTRAS};

/// Reads the tuples of a comparison.
pub(in super::super) struct Splitter {
    layout: Arc<Layout>,
    columns: usize,
    key: Vec<KeyColumn>,
}

impl Splitter {
    /// Of tuples whose first `columns` fields are those of `layout`, for a table with this key.
    pub(in super::super) fn new(layout: Layout, columns: usize, key: Vec<KeyColumn>) -> Self {
        Self { layout: Arc::new(layout), columns, key }
    }

    /// The fields of a tuple: those of the model, then what the table adds.
    ///
    /// # Errors
    /// None that the model's own layout has not told.
    pub(in super::super) fn tuples(&self) -> Result<Arc<Layout>, Fault> {
        let key = self.key.iter().map(|column| column.wire.clone());
        let claims = std::iter::repeat_n(Wire::Int8, CLAIMS);
        let added = [Wire::Int8, Wire::Bool].into_iter().chain(RECORDED).chain(key).chain(claims);
        let fields = self.layout.fields.iter().cloned().chain(added.map(Field::of_table));
        Ok(Arc::new(Layout::new(fields.collect(), Vec::new(), 0)?))
    }

    /// The rows among the tuples, and the records without one.
    ///
    /// # Errors
    /// Bytes that the statement cannot have given.
    pub(in super::super) fn split(&self, tuples: &Tuples) -> Result<(ComparedPage, Vec<Gone>), Fault> {
        let count = i16::try_from(self.columns).map_err(|_| Fault::bug("a projection of too many columns"))?;
        let mut rows = Tuples::default();
        let (mut marks, mut gone) = (Vec::new(), Vec::new());
        for tuple in tuples.iter() {
            let mut fields = Values::of(tuple);
            for _ in 0..self.columns {
                fields.next().ok_or_else(malformed)?;
            }
            let row = tuple.get(2..tuple.len() - fields.rest().len()).ok_or_else(malformed)?;
            let extras: Vec<Option<&[u8]>> = fields.collect();
            let [fingerprint, repeated, extras @ ..] = extras.as_slice() else { return Err(malformed()) };
            let (record, extras) = extras.split_at_checked(EXTRAS - 2).ok_or_else(malformed)?;
            let record = recorded(record)?;
            match fingerprint {
                Some(fingerprint) => {
                    let repeated = repeated.is_some_and(|flag| flag != [0]);
                    marks.push(Mark { fingerprint: number(fingerprint)?, repeated, record });
                    rows.data.extend_from_slice(&count.to_be_bytes());
                    rows.data.extend_from_slice(row);
                    rows.ends.push(rows.data.len());
                }
                None => gone.push(self.gone(record.ok_or_else(malformed)?, extras)?),
            }
        }
        let rows = Box::new(TuplePage::new(rows, self.layout.clone(), 0));
        Ok((ComparedPage { rows, marks }, gone))
    }

    fn gone(&self, record: Recorded, extras: &[Option<&[u8]>]) -> Result<Gone, Fault> {
        let (parts, claims) = extras.split_at_checked(self.key.len()).ok_or_else(malformed)?;
        let claim = |at: usize| claims.get(at).copied().flatten().map(number).transpose();
        Ok(Gone { key: canonical(&self.key, parts)?, record, claims: [claim(0)?, claim(1)?] })
    }
}

/// How what a record's columns hold travels, from `key_check` to `fields`.
pub(super) const RECORDED: [Wire; EXTRAS - 2] =
    [Wire::Int8, Wire::Int8, Wire::Bool, Wire::Text, Wire::Text, Wire::Bytea];

/// The canonical key of a record, from the columns of its table.
pub(super) fn canonical(columns: &[KeyColumn], parts: &[Option<&[u8]>]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(16);
    let part = |at: usize, out: &mut Vec<u8>| {
        let (column, bytes) = columns.get(at).zip(parts.get(at).copied().flatten()).ok_or_else(malformed)?;
        put_key(&column.wire, bytes, out).map_err(|_| malformed())
    };
    if columns.len() == 1 {
        part(0, &mut out)?;
        return Ok(out);
    }
    key::start_composite(&mut out);
    let mut buffer = Vec::new();
    for at in 0..columns.len() {
        buffer.clear();
        part(at, &mut buffer)?;
        key::put_part(&buffer, &mut out);
    }
    Ok(out)
}

/// What a record's columns hold, from `key_check` to `fields`; `None` where there is no record.
pub(super) fn recorded(columns: &[Option<&[u8]>]) -> Result<Option<Recorded>, Fault> {
    let [check, fingerprint, in_doubt, match_value, remote_id, fields] = columns else { return Err(malformed()) };
    let Some(check) = check else { return Ok(None) };
    let text = |bytes: &Option<&[u8]>| match bytes {
        None => Ok(None),
        Some(bytes) => String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| malformed()),
    };
    Ok(Some(Recorded {
        fingerprint: fingerprint.map(number).transpose()?,
        in_doubt: in_doubt.is_some_and(|flag| flag != [0]),
        address: Address { remote_id: text(remote_id)?, match_value: text(match_value)? },
        fields: fields.map(<[u8]>::to_vec),
        check: number(check)?,
    }))
}

/// A `bigint`, as the bits that it is.
fn number(bytes: &[u8]) -> Result<u64, Fault> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| malformed())
}

pub(super) fn malformed() -> Fault {
    Fault::config("a snapshot table holds what backhaul never wrote").remedy(
        "it was changed by hand: restore it and the state folder from backups of one moment; without them \
                 `backhaul state rebuild SYNC`: every row is then sent again, and nothing is removed",
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::types::Wire;
    use super::*;
    use proptest::prelude::*;

    fn splitter() -> Splitter {
        let fields = ["id", "name"].map(|name| Field {
            name: name.into(),
            native: "x".into(),
            wire: if name == "id" { Wire::Int4 } else { Wire::Text },
        });
        let layout = Layout::new(fields.to_vec(), vec![0], 7).expect("a layout");
        Splitter::new(layout, 2, vec![KeyColumn::stored("bigint").expect("a type")])
    }

    fn tuples(fields: &[Option<&[u8]>]) -> Tuples {
        let mut data = i16::try_from(fields.len()).expect("few").to_be_bytes().to_vec();
        for field in fields {
            data.extend_from_slice(&field.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
            data.extend_from_slice(field.unwrap_or_default());
        }
        Tuples { ends: vec![data.len()], data }
    }

    #[test]
    fn a_tuple_is_a_row_with_its_record_or_a_record_alone() {
        let (three, eight) = (3i32.to_be_bytes(), 8i64.to_be_bytes());
        let row = [
            Some(&three[..]),
            Some(b"Ann"),
            Some(&eight),
            Some(&[0]),
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
        ];
        let (page, gone) = splitter().split(&tuples(&row)).expect("a row");
        assert!(gone.is_empty() && page.marks[0].record.is_none() && !page.marks[0].repeated);
        assert_eq!((page.rows.rows(), page.marks[0].fingerprint), (1, 8));
        let mut key = Vec::new();
        page.rows.key(0, &mut key).expect("a key");
        assert_eq!(key::display(&key), "3");

        let record = [
            None,
            None,
            None,
            None,
            Some(&eight[..]),
            None,
            Some(&[1]),
            Some(b"m"),
            None,
            Some(b"ffff"),
            Some(&eight),
            Some(&eight),
            None,
        ];
        let (page, gone) = splitter().split(&tuples(&record)).expect("a record");
        assert_eq!(page.rows.rows(), 0);
        let Gone { key, record, claims } = &gone[0];
        assert_eq!((key::display(key).as_str(), record.in_doubt, record.check), ("8", true, 8));
        assert_eq!((record.address.match_value.as_deref(), *claims), (Some("m"), [Some(8), None]));
    }

    proptest! {
        #[test]
        fn any_tuple_is_read_or_refused(bytes: Vec<u8>) {
            let _ = splitter().split(&Tuples { ends: vec![bytes.len()], data: bytes });
        }
    }
}
