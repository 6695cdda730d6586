//! Letting a held run go, or giving it up.

use jiff::Timestamp;

use super::{RunRecord, RunStatus, State, StateError};

impl State {
    /// Lets the held run deliver exactly the plan of that hash, once.
    ///
    /// # Errors
    /// A run that is not held, another plan hash, or a run that was approved before.
    pub async fn approve(&self, run: &str, plan_hash: &str, now: Timestamp) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        let stored: Option<(String, Option<String>)> =
            sqlx::query_as("select status, plan_hash from runs where id = ?1")
                .bind(run)
                .fetch_optional(&mut *tx)
                .await?;
        let (status, hash) = stored.ok_or_else(|| StateError::NoSuchRun(run.to_owned()))?;
        let status: RunStatus = status.parse()?;
        if status != RunStatus::Held {
            return Err(StateError::NotHeld { run: run.to_owned(), status });
        }
        if hash.as_deref() != Some(plan_hash) {
            return Err(StateError::OtherPlan { run: run.to_owned() });
        }
        let done =
            sqlx::query("insert into approvals (run, plan_hash, approved) values (?1, ?2, ?3) on conflict do nothing")
                .bind(run)
                .bind(plan_hash)
                .bind(now.as_microsecond())
                .execute(&mut *tx)
                .await?;
        if done.rows_affected() == 0 {
            return Err(StateError::AlreadyApproved { run: run.to_owned() });
        }
        tx.commit().await?;
        Ok(())
    }

    /// Uses up the approval of that run and plan; `false` where there is none left.
    ///
    /// # Errors
    /// As any write.
    pub async fn take_approval(&self, run: &str, plan_hash: &str, now: Timestamp) -> Result<bool, StateError> {
        let done = sqlx::query("update approvals set used = ?3 where run = ?1 and plan_hash = ?2 and used is null")
            .bind(run)
            .bind(plan_hash)
            .bind(now.as_microsecond())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether an approval of that run waits to be used.
    ///
    /// # Errors
    /// As any read.
    pub async fn is_approved(&self, run: &str) -> Result<bool, StateError> {
        let found: Option<i64> = sqlx::query_scalar("select 1 from approvals where run = ?1 and used is null")
            .bind(run)
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// Whether that run was ever approved.
    ///
    /// # Errors
    /// As any read.
    pub async fn was_approved(&self, run: &str) -> Result<bool, StateError> {
        let found: Option<i64> =
            sqlx::query_scalar("select 1 from approvals where run = ?1").bind(run).fetch_optional(&self.pool).await?;
        Ok(found.is_some())
    }

    /// Gives a held run up: nothing of its plan was or will be sent.
    ///
    /// # Errors
    /// A run that is not held, or whose approval is already in use.
    pub async fn discard(&self, run: &str, now: Timestamp) -> Result<RunRecord, StateError> {
        let mut record = self.run(run).await?;
        if record.status != RunStatus::Held {
            return Err(StateError::NotHeld { run: run.to_owned(), status: record.status });
        }
        record.status = RunStatus::Discarded;
        self.update_run(&mut record, now).await?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::open;
    use super::super::{NewRun, Trigger};
    use super::*;

    #[tokio::test]
    async fn an_approval_is_for_one_plan_and_counts_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now = Timestamp::UNIX_EPOCH;
        let new = NewRun { sync: "vip".into(), trigger: Trigger::Manual, stage: "scan".into(), config_digest: None };
        let mut run = state.create_run(&new, now).await.expect("made");
        let early = state.approve(&run.id, "h1", now).await.expect_err("not held");
        assert!(matches!(early, StateError::NotHeld { .. }), "{early:?}");
        for status in [RunStatus::Planning, RunStatus::Held] {
            run.status = status;
            run.plan_hash = Some("h1".into());
            state.update_run(&mut run, now).await.expect("written");
        }
        assert!(matches!(state.approve(&run.id, "h2", now).await, Err(StateError::OtherPlan { .. })));
        assert!(!state.is_approved(&run.id).await.expect("read"));
        state.approve(&run.id, "h1", now).await.expect("approved");
        assert!(matches!(state.approve(&run.id, "h1", now).await, Err(StateError::AlreadyApproved { .. })));
        assert!(state.is_approved(&run.id).await.expect("read"));
        assert!(!state.take_approval(&run.id, "h2", now).await.expect("read"));
        assert!(state.take_approval(&run.id, "h1", now).await.expect("used"));
        assert!(!state.take_approval(&run.id, "h1", now).await.expect("read"));
        assert!(!state.is_approved(&run.id).await.expect("read"));
    }

    #[tokio::test]
    async fn only_a_held_run_is_discarded() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now = Timestamp::UNIX_EPOCH;
        let new = NewRun { sync: "vip".into(), trigger: Trigger::Manual, stage: "scan".into(), config_digest: None };
        let mut run = state.create_run(&new, now).await.expect("made");
        assert!(matches!(state.discard(&run.id, now).await, Err(StateError::NotHeld { .. })));
        for status in [RunStatus::Planning, RunStatus::Held] {
            run.status = status;
            state.update_run(&mut run, now).await.expect("written");
        }
        assert_eq!(state.discard(&run.id, now).await.expect("discarded").status, RunStatus::Discarded);
        assert_eq!(state.unfinished_runs().await.expect("read"), []);
    }
}
