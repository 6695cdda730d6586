//! The last schedule slot that each sync has used.

use jiff::Timestamp;

use super::{State, StateError, time};

impl State {
    /// The last slot that was used for the sync.
    ///
    /// # Errors
    /// As any read.
    pub async fn last_slot(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
        let micros: Option<i64> =
            sqlx::query_scalar("select slot from slots where sync = ?1").bind(sync).fetch_optional(&self.pool).await?;
        micros.map(time).transpose()
    }

    /// Records that the slot is used; before its run begins, so that a crash does not use it twice.
    ///
    /// # Errors
    /// As any write.
    pub async fn record_slot(&self, sync: &str, slot: Timestamp) -> Result<(), StateError> {
        sqlx::query("insert into slots (sync, slot) values (?1, ?2) on conflict (sync) do update set slot = ?2")
            .bind(sync)
            .bind(slot.as_microsecond())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::open;
    use super::*;

    #[tokio::test]
    async fn the_last_slot_outlives_the_process() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        assert_eq!(state.last_slot("vip").await.expect("read"), None);
        let slot: Timestamp = "2026-11-20T12:15:00Z".parse().expect("a timestamp");
        state.record_slot("vip", Timestamp::UNIX_EPOCH).await.expect("recorded");
        state.record_slot("vip", slot).await.expect("recorded");
        state.close().await;
        assert_eq!(open(dir.path()).await.last_slot("vip").await.expect("read"), Some(slot));
    }
}
