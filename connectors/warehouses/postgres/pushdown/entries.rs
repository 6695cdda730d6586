//! Entries as COPY takes them: keys as text, which the server casts to the table's types.

use backhaul_kit::{Fault, Recorded, TableEffect, TableEntry, Value, key};

/// The table that takes the entries of a change; its rows go when the transaction ends.
pub(super) fn stage_sql(keys: usize) -> String {
    let keys: Vec<String> = (1..=keys).map(|i| format!("key_{i} text NOT NULL")).collect();
    format!(
        "CREATE TEMPORARY TABLE backhaul_stage ({}, effect smallint NOT NULL, key_check bigint, fingerprint bigint, \
         in_doubt boolean, match_value bytea, remote_id bytea, fields bytea) ON COMMIT DROP",
        keys.join(", ")
    )
}

/// The effect of an insert in the stage.
pub(super) const INSERT: i16 = 0;
/// Of an update.
pub(super) const UPDATE: i16 = 1;
/// Of a delete.
pub(super) const DELETE: i16 = 2;
/// Columns of the stage beside the key's.
const COLUMNS: usize = 7;

/// What COPY's binary format starts with: signature, no flags, no extension.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Appends an entry for a table whose key has `keys` columns.
///
/// # Errors
/// `Config` where the key has another number of parts.
pub(super) fn put_entry(entry: &TableEntry, keys: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let parts = key::decode(&entry.key).filter(|parts| parts.len() == keys).ok_or_else(other_key)?;
    let count = i16::try_from(keys + COLUMNS).map_err(|_| Fault::bug("a key of too many columns"))?;
    out.extend_from_slice(&count.to_be_bytes());
    for part in &parts {
        put_field(Some(key_text(part).as_bytes()), out)?;
    }
    let (effect, record) = match &entry.effect {
        TableEffect::Insert(record) => (INSERT, Some(record)),
        TableEffect::Update(record) => (UPDATE, Some(record)),
        TableEffect::Delete => (DELETE, None),
    };
    put_field(Some(&effect.to_be_bytes()), out)?;
    let Some(Recorded { fingerprint, in_doubt, address, fields, check }) = record else {
        return (1..COLUMNS).try_for_each(|_| put_field(None, out));
    };
    put_field(Some(&check.to_be_bytes()), out)?;
    put_field(fingerprint.map(u64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice), out)?;
    put_field(Some(&[u8::from(*in_doubt)]), out)?;
    put_field(address.match_value.as_deref().map(str::as_bytes), out)?;
    put_field(address.remote_id.as_deref().map(str::as_bytes), out)?;
    put_field(fields.as_deref(), out)
}

fn put_field(bytes: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let len = bytes.map_or(Ok(-1), |bytes| i32::try_from(bytes.len()));
    out.extend_from_slice(&len.map_err(|_| Fault::bug("a value of more than 2 GiB"))?.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
    Ok(())
}

/// A part of a key as the server reads it.
fn key_text(part: &Value) -> String {
    match part {
        Value::Bytes(bytes) => {
            use std::fmt::Write as _;
            bytes.iter().fold(String::from("\\x"), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        }
        other => other.to_text(),
    }
}

/// The key has another shape than the table.
pub(in super::super) fn other_key() -> Fault {
    Fault::config("the model's key is not that of the snapshot table: its columns or their types have changed").remedy(
        "set `diff = \"local\"` and run once: the keys are compared there and the plan is judged; then set \
             `diff = \"warehouse\"` again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::Address;

    #[test]
    fn an_entry_is_written_byte_for_byte() {
        let key = key::encode(&[&Value::Int(7), &Value::Bytes(vec![0xab, 1])]).expect("a key");
        let address = Address { remote_id: None, match_value: Some("m".into()) };
        let record = Recorded { fingerprint: Some(5), in_doubt: false, address, fields: Some(vec![9; 4]), check: 6 };
        let mut out = Vec::new();
        put_entry(&TableEntry { key: key.clone(), effect: TableEffect::Insert(record) }, 2, &mut out).expect("written");
        let expected: Vec<u8> = [
            &[0, 9][..],
            &[0, 0, 0, 1, b'7', 0, 0, 0, 6],
            b"\\xab01",
            &[0, 0, 0, 2, 0, 0],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 6],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 0, 0, 1, 0],
            &[0, 0, 0, 1, b'm'],
            &[255, 255, 255, 255],
            &[0, 0, 0, 4, 9, 9, 9, 9],
        ]
        .concat();
        assert_eq!(out, expected);
        let refused = put_entry(&TableEntry { key, effect: TableEffect::Delete }, 1, &mut out).expect_err("two parts");
        assert!(refused.remedy_text().contains("local"));
    }
}
