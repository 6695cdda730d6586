//! The one statement that compares a model with a table.
//!
//! ```sql
//! SELECT m.c0, …, m.fingerprint, m.place > 1, s.key_check, … FROM (
//!   SELECT m."id" AS c0, …, hash_record_extended(ROW(…), 0) AS fingerprint, m."id" AS key_1,
//!          row_number() OVER (PARTITION BY m."id") AS place
//!   FROM (<model>) AS m
//! ) AS m FULL JOIN "backhaul"."snap_users_…" AS s ON s.key_1 = m.key_1
//! WHERE m.fingerprint IS DISTINCT FROM s.fingerprint OR m.fingerprint IS NULL OR m.place > 1
//! ```

use super::super::super::wrap::Wrapped;
use super::super::layout::Field;
use super::columns::{KeyColumn, fingerprint_expression, key_expression};

/// Columns behind those of the model: fingerprint of the row, whether its key came before, and what is recorded
/// (`key_check`, fingerprint, `in_doubt`, match value, remote id, fields). After them the key's columns and two claims.
pub(super) const EXTRAS: usize = 8;
/// Hashes of match value and remote id.
pub(super) const CLAIMS: usize = 2;

/// What a comparison is made of.
pub(in super::super) struct Comparison<'a> {
    /// The model.
    pub(in super::super) model: &'a Wrapped,
    /// The projected columns.
    pub(in super::super) fields: &'a [Field],
    /// Places of the key among them.
    pub(in super::super) key: &'a [usize],
    /// The table, quoted.
    pub(in super::super) table: &'a str,
    /// Every row is wanted.
    pub(in super::super) all: bool,
    /// Fingerprints of the table were made in another way: they equal none.
    pub(in super::super) renewed: bool,
}

impl Comparison<'_> {
    /// The statement.
    pub(in super::super) fn sql(&self) -> String {
        let keys: Vec<String> = self.key.iter().map(|place| key_expression(&self.fields[*place])).collect();
        let fingerprint: Vec<String> = self.fields.iter().map(fingerprint_expression).collect();
        let mut inner: Vec<String> =
            (0..).zip(self.fields).map(|(i, field)| format!("m.{} AS c{i}", quoted(field))).collect();
        inner.push(format!("pg_catalog.hash_record_extended(ROW({}), 0) AS fingerprint", fingerprint.join(", ")));
        inner.extend((1..).zip(&keys).map(|(i, key)| format!("{key} AS key_{i}")));
        inner.push(format!("pg_catalog.row_number() OVER (PARTITION BY {}) AS place", keys.join(", ")));
        let model = self.model.select_expressions(&inner.join(", "));

        let recorded = if self.renewed { "NULL::bigint" } else { "s.fingerprint" };
        let mut outer: Vec<String> = (0..self.fields.len()).map(|i| format!("m.c{i}")).collect();
        outer.extend(["m.fingerprint", "m.place > 1", "s.key_check", recorded].map(String::from));
        outer.extend(["s.in_doubt", "s.match_value", "s.remote_id", "s.fields"].map(String::from));
        let gone = |what: String| format!("CASE WHEN m.fingerprint IS NULL THEN {what} END");
        outer.extend((1..=keys.len()).map(|i| gone(format!("s.key_{i}"))));
        outer.extend(CLAIM_HASHES.map(|hash| gone(hash.to_owned())));
        let joined: Vec<String> = (1..=keys.len()).map(|i| format!("s.key_{i} = m.key_{i}")).collect();
        let mut sql = format!(
            "SELECT {} FROM (\n{model}\n) AS m FULL JOIN {} AS s ON {}",
            outer.join(", "),
            self.table,
            joined.join(" AND ")
        );
        if !self.all && !self.renewed {
            sql.push_str(
                "\nWHERE m.fingerprint IS DISTINCT FROM s.fingerprint OR m.fingerprint IS NULL OR m.place > 1",
            );
        }
        sql
    }
}

/// Claims: the kind of an address is the seed of its hash, so that a match value never is a remote id.
const CLAIM_HASHES: [&str; CLAIMS] = [
    "CASE WHEN s.match_value IS NOT NULL THEN pg_catalog.hash_record_extended(ROW(s.match_value), 1) END",
    "CASE WHEN s.remote_id IS NOT NULL THEN pg_catalog.hash_record_extended(ROW(s.remote_id), 2) END",
];

/// How many records of the table hold each of these claims.
pub(in super::super) fn holders(table: &str, claims: &[i64]) -> String {
    let claims: Vec<String> = claims.iter().map(i64::to_string).collect();
    let [matched, remote] = CLAIM_HASHES;
    format!(
        "SELECT claim, pg_catalog.count(*) FROM (\n\
         SELECT {matched} AS claim FROM {table} AS s UNION ALL SELECT {remote} FROM {table} AS s\n\
         ) AS held WHERE claim = ANY ('{{{}}}'::bigint[]) GROUP BY claim",
        claims.join(",")
    )
}

/// The types of a table's key, in one text.
pub(super) fn key_types(key: &[KeyColumn]) -> String {
    key.iter().map(KeyColumn::stored_type).collect::<Vec<_>>().join(",")
}

fn quoted(field: &Field) -> String {
    super::super::super::wrap::quote(&field.name)
}
