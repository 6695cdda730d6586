//! What accounts have used of their long windows.

use std::time::Duration;

use backhaul_kit::http::limit::Used;
use jiff::Timestamp;
use sqlx::Row as _;

use super::{State, StateError, time};

impl State {
    /// Keeps what was used; windows that have ended go.
    ///
    /// # Errors
    /// As any write.
    pub async fn keep_quotas(&self, used: &[Used], now: Timestamp) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from quotas where resets_at <= ?1").bind(now.as_microsecond()).execute(&mut *tx).await?;
        for Used { holder, per, calls, resets_at } in used {
            sqlx::query(
                "insert into quotas (holder, seconds, calls, resets_at) values (?1, ?2, ?3, ?4)
                 on conflict (holder, seconds) do update set calls = ?3, resets_at = ?4",
            )
            .bind(holder)
            .bind(per.as_secs().cast_signed())
            .bind(calls)
            .bind(resets_at.as_microsecond())
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// What was used of windows that have not ended.
    ///
    /// # Errors
    /// As any read.
    pub async fn quotas(&self, now: Timestamp) -> Result<Vec<Used>, StateError> {
        let rows = sqlx::query("select * from quotas where resets_at > ?1 order by holder, seconds")
            .bind(now.as_microsecond())
            .fetch_all(&self.pool)
            .await?;
        let used = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Used {
                holder: row.try_get("holder")?,
                per: Duration::from_secs(row.try_get::<i64, _>("seconds")?.unsigned_abs()),
                calls: row.try_get("calls")?,
                resets_at: time(row.try_get("resets_at")?)?,
            })
        };
        rows.iter().map(used).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::store::tests::open;
    use super::*;

    #[tokio::test]
    async fn windows_are_kept_until_they_end() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now = Timestamp::UNIX_EPOCH;
        let used = |holder: &str, calls, hours| Used {
            holder: holder.into(),
            per: Duration::from_secs(86_400),
            calls,
            resets_at: now + SignedDuration::from_hours(hours),
        };
        state.keep_quotas(&[used("a", 3, 1), used("b", 5, 2)], now).await.expect("kept");
        // A process that has not called `b` says nothing of it.
        state.keep_quotas(&[used("a", 4, 1)], now).await.expect("kept");
        assert_eq!(state.quotas(now).await.expect("read"), [used("a", 4, 1), used("b", 5, 2)]);
        let later = now + SignedDuration::from_mins(90);
        assert_eq!(state.quotas(later).await.expect("read"), [used("b", 5, 2)]);
        state.keep_quotas(&[], later).await.expect("kept");
        assert_eq!(state.quotas(now).await.expect("read"), [used("b", 5, 2)], "what has ended is gone");
    }
}
