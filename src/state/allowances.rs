//! Limits of guards that an operator raised for a while.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{State, StateError, time};

/// A limit that is raised for one sync until some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The limit, by its key in `[guards]`.
    pub limit: String,
    /// What it is raised to, as on the command line: `12%`, `500`.
    pub value: String,
    /// Until when.
    pub until: Timestamp,
    /// The run whose approval raised it.
    pub run: String,
}

impl State {
    /// Raises a limit of the sync; one that was raised before is raised anew.
    ///
    /// # Errors
    /// As any write.
    pub async fn allow(&self, sync: &str, allowance: &Allowance) -> Result<(), StateError> {
        sqlx::query(
            "insert into allowances (sync, limit_of, value, until, run) values (?1, ?2, ?3, ?4, ?5)
             on conflict (sync, limit_of) do update set value = ?3, until = ?4, run = ?5",
        )
        .bind(sync)
        .bind(&allowance.limit)
        .bind(&allowance.value)
        .bind(allowance.until.as_microsecond())
        .bind(&allowance.run)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The limits of the sync that are raised at `now`.
    ///
    /// # Errors
    /// As any read.
    pub async fn allowances(&self, sync: &str, now: Timestamp) -> Result<Vec<Allowance>, StateError> {
        let rows = sqlx::query("select * from allowances where sync = ?1 and until > ?2 order by limit_of")
            .bind(sync)
            .bind(now.as_microsecond())
            .fetch_all(&self.pool)
            .await?;
        let allowance = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Allowance {
                limit: row.try_get("limit_of")?,
                value: row.try_get("value")?,
                until: time(row.try_get("until")?)?,
                run: row.try_get("run")?,
            })
        };
        rows.iter().map(allowance).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::store::tests::open;
    use super::super::{NewRun, Trigger};
    use super::*;

    #[tokio::test]
    async fn a_limit_is_raised_for_its_sync_and_its_time() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now = Timestamp::UNIX_EPOCH;
        let new = NewRun { sync: "vip".into(), trigger: Trigger::Manual, stage: "scan".into(), config_digest: None };
        let run = state.create_run(&new, now).await.expect("made").id;
        let until = now + SignedDuration::from_hours(2);
        let mut allowance = Allowance { limit: "max_removed".into(), value: "12%".into(), until, run };
        state.allow("vip", &allowance).await.expect("raised");
        assert_eq!(state.allowances("other", now).await.expect("read"), []);
        assert_eq!(state.allowances("vip", now).await.expect("read"), [allowance.clone()]);
        allowance.value = "15%".into();
        state.allow("vip", &allowance).await.expect("raised anew");
        assert_eq!(state.allowances("vip", now).await.expect("read"), [allowance]);
        assert_eq!(state.allowances("vip", until).await.expect("read"), []);
    }
}
