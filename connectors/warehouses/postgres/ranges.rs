//! The parts of a plain table that are read in parallel: ranges of its blocks.

use sqlx::{PgConnection, Row as _};

/// A lane reads at least so many bytes of the table: below that a connection more costs more than it saves.
const LANE_BYTES: i64 = if cfg!(test) { 64 << 10 } else { 32 << 20 };
/// More lanes than this wait for one another here.
const MOST_LANES: i64 = 8;

/// Blocks of a table: from the first up to, but without, the last; open at the end where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    from: i64,
    to: Option<i64>,
}

impl Range {
    /// The condition for the rows of these blocks. A row's place (`ctid`) is its block and a number there, from 1.
    pub(super) fn condition(&self) -> String {
        let from = format!("ctid >= '({},0)'::tid", self.from);
        match self.to {
            Some(to) => format!("{from} AND ctid < '({to},0)'::tid"),
            None => from,
        }
    }
}

/// Only what has blocks of its own, all of whose rows may be read: no view, no parent of other tables, no row security.
/// The limit is the server's own for the processes of one query, beside the one that leads them.
const TABLE: &str = "\
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_relation_size(c.oid),
           current_setting('block_size')::int8, 1 + current_setting('max_parallel_workers_per_gather')::int8
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'r' AND a.amname = 'heap'
      AND NOT c.relhassubclass AND NOT c.relrowsecurity";

/// The table called `name` (quoted) with its schema, so that all connections mean the same, and the ranges that together
/// are all of it; `None` where it is to be read as one.
///
/// The table may grow meanwhile: what comes behind its last block belongs to the last range. It cannot shrink while the
/// caller's transaction has it open.
pub(super) async fn of_table(conn: &mut PgConnection, name: &str) -> Result<Option<(String, Vec<Range>)>, sqlx::Error> {
    // Older servers look for a range of places in the whole table.
    if conn.server_version_num().is_none_or(|version| version < 140_000) {
        return Ok(None);
    }
    let Some(row) = sqlx::query(TABLE).bind(name).fetch_optional(conn).await? else { return Ok(None) };
    let (size, block, limit): (i64, i64, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let lanes = (size / LANE_BYTES).min(limit).min(MOST_LANES);
    Ok(if lanes < 2 { None } else { Some((row.try_get(0)?, ranges(size / block.max(1), lanes))) })
}

/// So many ranges of about the same length.
fn ranges(blocks: i64, lanes: i64) -> Vec<Range> {
    let start = |lane: i64| blocks * lane / lanes;
    (0..lanes).map(|lane| Range { from: start(lane), to: (lane + 1 < lanes).then(|| start(lane + 1)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_is_open_only_at_the_end_of_the_table() {
        let conditions: Vec<String> = ranges(10, 2).iter().map(Range::condition).collect();
        assert_eq!(conditions, ["ctid >= '(0,0)'::tid AND ctid < '(5,0)'::tid", "ctid >= '(5,0)'::tid"]);
    }

    proptest! {
        #[test]
        fn every_block_is_in_one_range(blocks in 0..=i64::from(u32::MAX), lanes in 2..=MOST_LANES) {
            let ranges = ranges(blocks, lanes);
            prop_assert_eq!(ranges.len() as i64, lanes);
            prop_assert_eq!(ranges[0].from, 0);
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].to, Some(pair[1].from));
                prop_assert!(pair[0].from <= pair[1].from);
            }
            prop_assert_eq!(ranges[ranges.len() - 1].to, None);
        }
    }
}
