//! Suppression lists: how many rows they had.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row as _;

use super::{State, StateError, count};

impl State {
    /// How many rows every suppression list had when it was last read.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_rows(&self) -> Result<BTreeMap<String, u64>, StateError> {
        let rows = sqlx::query("select list, row_count from lists").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get("list")?, count(row.try_get("row_count")?)?))).collect()
    }

    /// Notes how many rows these lists have.
    ///
    /// # Errors
    /// As any write; all are noted or none.
    pub async fn record_list_rows(&self, lists: &BTreeMap<String, u64>, now: Timestamp) -> Result<(), StateError> {
        if lists.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for (list, rows) in lists {
            sqlx::query("insert or replace into lists (list, row_count, read) values (?1, ?2, ?3)")
                .bind(list)
                .bind(i64::try_from(*rows).unwrap_or(i64::MAX))
                .bind(now.as_microsecond())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store::tests::open;

    #[tokio::test]
    async fn the_last_count_of_a_list_is_kept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a timestamp");
        assert!(state.list_rows().await.expect("read").is_empty());
        let lists = |rows: &[(&str, u64)]| rows.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        state.record_list_rows(&lists(&[("a", 7), ("b", 1)]), now).await.expect("noted");
        state.record_list_rows(&lists(&[("a", 9)]), now).await.expect("noted");
        assert_eq!(state.list_rows().await.expect("read"), lists(&[("a", 9), ("b", 1)]));
    }
}
