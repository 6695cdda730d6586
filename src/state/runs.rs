//! Runs: what was done for a sync, when, and how it ended.

mod record;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub use record::{FieldValues, NewRun, RunCounts, RunError, RunRecord, RunStatus, Trigger};

use self::record::unknown_word;
use super::{State, StateError, count, time};

/// How many ids are tried within one second before giving up.
const ID_TRIES: usize = 64;

impl State {
    /// Makes a run, `queued`, with an id of its own.
    ///
    /// # Errors
    /// As any write.
    pub async fn create_run(&self, new: &NewRun, now: Timestamp) -> Result<RunRecord, StateError> {
        let mut tries = ID_TRIES;
        loop {
            let id = run_id(now)?;
            let done = sqlx::query(
                "insert into runs (id, sync, status, stage, trigger, started, updated, counts, config_digest,
                    held_reasons, calls)
                 values (?1, ?2, 'queued', ?3, ?4, ?5, ?5, '{}', ?6, '[]', 0) on conflict (id) do nothing",
            )
            .bind(&id)
            .bind(&new.sync)
            .bind(&new.stage)
            .bind(new.trigger.as_str())
            .bind(now.as_microsecond())
            .bind(&new.config_digest)
            .execute(&self.pool)
            .await?;
            if done.rows_affected() == 1 {
                return self.run(&id).await;
            }
            tries -= 1;
            if tries == 0 {
                return Err(StateError::Database(String::from("no free run id in this second")));
            }
        }
    }

    /// Enters a run that was made under another state, with the id that it has.
    ///
    /// # Errors
    /// As any write; an id that is taken.
    pub async fn adopt_run(
        &self,
        id: &str,
        new: &NewRun,
        status: RunStatus,
        now: Timestamp,
    ) -> Result<RunRecord, StateError> {
        sqlx::query(
            "insert into runs (id, sync, status, stage, trigger, started, updated, counts, config_digest,
                held_reasons, calls)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?6, '{}', ?7, '[]', 0)",
        )
        .bind(id)
        .bind(&new.sync)
        .bind(status.as_str())
        .bind(&new.stage)
        .bind(new.trigger.as_str())
        .bind(now.as_microsecond())
        .bind(&new.config_digest)
        .execute(&self.pool)
        .await?;
        self.run(id).await
    }

    /// Writes `run` and sets its `updated`, and its `finished` where the status is terminal.
    ///
    /// # Errors
    /// [`StateError::Transition`] where the status on record may not become the new one (another process ended
    /// the run, say): nothing is written.
    pub async fn update_run(&self, run: &mut RunRecord, now: Timestamp) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        let stored: Option<String> =
            sqlx::query_scalar("select status from runs where id = ?1").bind(&run.id).fetch_optional(&mut *tx).await?;
        let from: RunStatus = stored.ok_or_else(|| StateError::NoSuchRun(run.id.clone()))?.parse()?;
        if !from.may_become(run.status) {
            return Err(StateError::Transition { run: run.id.clone(), from, to: run.status });
        }
        let finished = run.status.terminal().then(|| run.finished.unwrap_or(now));
        let error = run.error.as_ref();
        sqlx::query(
            "update runs set status = ?2, stage = ?3, updated = ?4, finished = ?5, counts = ?6, plan_hash = ?7,
                plan_path = ?8, config_digest = ?9, identity = ?10, error_class = ?11, error_message = ?12,
                error_remedy = ?13, held_reasons = ?14, calls = ?15, exit_code = ?16, goes_first = ?17,
                warnings = ?18, fields = ?19
             where id = ?1",
        )
        .bind(&run.id)
        .bind(run.status.as_str())
        .bind(&run.stage)
        .bind(now.as_microsecond())
        .bind(finished.map(Timestamp::as_microsecond))
        .bind(json(&run.counts)?)
        .bind(&run.plan_hash)
        .bind(run.plan_path.as_ref().map(|p| p.to_string_lossy().into_owned()))
        .bind(&run.config_digest)
        .bind(&run.identity)
        .bind(error.map(|e| e.class.as_str()))
        .bind(error.map(|e| e.message.as_str()))
        .bind(error.and_then(|e| e.remedy.as_deref()))
        .bind(json(&run.held_reasons)?)
        .bind(i64::try_from(run.calls).unwrap_or(i64::MAX))
        .bind(run.exit_code.map(i64::from))
        .bind(&run.canary)
        .bind(json(&run.warnings)?)
        .bind(json(&run.fields)?)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        run.updated = now;
        run.finished = finished;
        Ok(())
    }

    /// The run of that id.
    ///
    /// # Errors
    /// [`StateError::NoSuchRun`].
    pub async fn run(&self, id: &str) -> Result<RunRecord, StateError> {
        let row = sqlx::query("select * from runs where id = ?1").bind(id).fetch_optional(&self.pool).await?;
        record(&row.ok_or_else(|| StateError::NoSuchRun(id.to_owned()))?)
    }

    /// The latest runs, newest first, of one sync or of all.
    ///
    /// # Errors
    /// As any read.
    pub async fn runs(&self, sync: Option<&str>, limit: u32) -> Result<Vec<RunRecord>, StateError> {
        let rows =
            sqlx::query("select * from runs where ?1 is null or sync = ?1 order by started desc, id desc limit ?2")
                .bind(sync)
                .bind(limit)
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(record).collect()
    }

    /// The sync's latest run.
    ///
    /// # Errors
    /// As any read.
    pub async fn latest_run(&self, sync: &str) -> Result<Option<RunRecord>, StateError> {
        Ok(self.runs(Some(sync), 1).await?.pop())
    }

    /// The runs that are not over, oldest first: interrupted, held, or at work in some process.
    ///
    /// # Errors
    /// As any read.
    pub async fn unfinished_runs(&self) -> Result<Vec<RunRecord>, StateError> {
        let rows = sqlx::query("select * from runs where finished is null order by started, id").fetch_all(&self.pool);
        rows.await?.iter().map(record).collect()
    }

    /// When the sync last ended with everything or nearly everything sent.
    ///
    /// # Errors
    /// As any read.
    pub async fn last_success(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
        let micros: Option<i64> =
            sqlx::query_scalar("select max(finished) from runs where sync = ?1 and status in ('succeeded', 'partial')")
                .bind(sync)
                .fetch_one(&self.pool)
                .await?;
        micros.map(time).transpose()
    }

    /// How many rows the model had in the sync's last runs that ended with everything or nearly everything sent,
    /// newest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn row_counts(&self, sync: &str, limit: u64) -> Result<Vec<u64>, StateError> {
        let counts: Vec<String> = sqlx::query_scalar(
            "select counts from runs where sync = ?1 and status in ('succeeded', 'partial')
             order by started desc, id desc limit ?2",
        )
        .bind(sync)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        counts.iter().map(|counts| Ok(from_json::<RunCounts>(counts)?.rows)).collect()
    }

    /// How many removals the runs of the sync that ended after `since` have sent, those in doubt included.
    ///
    /// # Errors
    /// As any read.
    pub async fn removals_since(&self, sync: &str, since: Timestamp) -> Result<u64, StateError> {
        let sum: Option<i64> = sqlx::query_scalar(
            "select sum(json_extract(counts, '$.removals_sent')) from runs where sync = ?1 and finished > ?2",
        )
        .bind(sync)
        .bind(since.as_microsecond())
        .fetch_one(&self.pool)
        .await?;
        count(sum.unwrap_or(0))
    }
}

fn run_id(now: Timestamp) -> Result<String, StateError> {
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| StateError::Database(String::from("no randomness")))?;
    Ok(format!("{}-{:04x}", now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S"), u16::from_be_bytes(random)))
}

fn json<T: Serialize>(value: &T) -> Result<String, StateError> {
    serde_json::to_string(value).map_err(|e| StateError::Database(e.to_string()))
}

fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|e| StateError::Corrupt(e.to_string()))
}

fn record(row: &SqliteRow) -> Result<RunRecord, StateError> {
    let trigger: String = row.try_get("trigger")?;
    let error_class: Option<String> = row.try_get("error_class")?;
    let error = match error_class {
        None => None,
        Some(class) => Some(RunError {
            class,
            message: row.try_get::<Option<String>, _>("error_message")?.unwrap_or_default(),
            remedy: row.try_get("error_remedy")?,
        }),
    };
    Ok(RunRecord {
        id: row.try_get("id")?,
        sync: row.try_get("sync")?,
        status: row.try_get::<String, _>("status")?.parse()?,
        stage: row.try_get("stage")?,
        trigger: Trigger::ALL.into_iter().find(|t| t.as_str() == trigger).ok_or_else(|| unknown_word("run trigger"))?,
        started: time(row.try_get("started")?)?,
        updated: time(row.try_get("updated")?)?,
        finished: row.try_get::<Option<i64>, _>("finished")?.map(time).transpose()?,
        counts: from_json(&row.try_get::<String, _>("counts")?)?,
        plan_hash: row.try_get("plan_hash")?,
        plan_path: row.try_get::<Option<String>, _>("plan_path")?.map(PathBuf::from),
        config_digest: row.try_get("config_digest")?,
        identity: row.try_get("identity")?,
        error,
        held_reasons: from_json(&row.try_get::<String, _>("held_reasons")?)?,
        warnings: from_json(&row.try_get::<String, _>("warnings")?)?,
        fields: from_json(&row.try_get::<String, _>("fields")?)?,
        canary: row.try_get("goes_first")?,
        calls: count(row.try_get("calls")?)?,
        exit_code: row
            .try_get::<Option<i64>, _>("exit_code")?
            .map(|code| u8::try_from(code).map_err(|_| unknown_word("exit code")))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests;
