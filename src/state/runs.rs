//! Runs: what was done for a sync, when, and how it ended.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{State, StateError, count, time};
use crate::diff::CauseCounts;

/// Where a run stands; a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Made, not begun.
    Queued,
    /// Scanning and comparing.
    Planning,
    /// A guard stopped the plan: nothing was sent, or its canary alone.
    Held,
    /// Sending.
    Delivering,
    /// Writing down what was accepted, or waiting for jobs at the vendor.
    Settling,
    /// Everything that was to be sent was accepted.
    Succeeded,
    /// Some rows were rejected or deferred.
    Partial,
    /// It stopped with an error.
    Failed,
    /// Held, then given up or superseded.
    Discarded,
    /// Stopped by its operator.
    Cancelled,
}

impl RunStatus {
    /// All, in the order of a run's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Planning,
        Self::Held,
        Self::Delivering,
        Self::Settling,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Discarded,
        Self::Cancelled,
    ];

    /// Whether the run is over.
    pub fn terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Discarded | Self::Cancelled)
    }

    /// Whether a run of this status may get that one. Staying is always allowed: stages repeat themselves after
    /// a crash.
    pub fn may_become(self, next: Self) -> bool {
        if self == next {
            return true;
        }
        match self {
            Self::Queued => matches!(next, Self::Planning | Self::Failed | Self::Cancelled),
            Self::Planning => {
                matches!(next, Self::Held | Self::Delivering | Self::Settling | Self::Failed | Self::Cancelled)
            }
            Self::Held => {
                matches!(next, Self::Delivering | Self::Settling | Self::Discarded | Self::Failed | Self::Cancelled)
            }
            Self::Delivering => matches!(next, Self::Held | Self::Settling | Self::Failed | Self::Cancelled),
            Self::Settling => matches!(next, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled),
            Self::Succeeded | Self::Partial | Self::Failed | Self::Discarded | Self::Cancelled => false,
        }
    }

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Settling => "settling",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| unknown_word("run status"))
    }
}

fn unknown_word(what: &str) -> StateError {
    StateError::Corrupt(format!("a {what} is not known"))
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a script, by command.
    Manual,
    /// Its `every` or `cron` schedule.
    Schedule,
    /// The syncs it comes `after`.
    After,
}

impl Trigger {
    const ALL: [Self; 3] = [Self::Manual, Self::Schedule, Self::After];

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::After => "after",
        }
    }
}

/// Numbers of rows in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Rows that the model had.
    pub rows: u64,
    /// Of these, equal to what was accepted.
    pub unchanged: u64,
    /// Planned as new.
    pub added: u64,
    /// Planned as changed, changes of address included.
    pub changed: u64,
    /// Planned as removed, for whatever cause.
    pub removed: u64,
    /// Planned to be sent again though unchanged.
    pub refreshed: u64,
    /// Changed in the source without a mapped value changing: nothing was sent.
    pub touched: u64,
    /// Not sent: rejected before, with the same values, and not due yet.
    pub withheld: u64,
    /// Not sent yet: they refer to a record that is not there.
    pub waiting: u64,
    /// Of these: the record is one that the run sent, or that waits likewise.
    pub next_wave: u64,
    /// Values that were looked up at the destination.
    pub looked_up: u64,
    /// Accepted by the destination.
    pub accepted: u64,
    /// Refused by the mapping or the destination.
    pub rejected: u64,
    /// Not sent in the end, to be sent by the next run.
    pub deferred: u64,
    /// Sent, fate unknown.
    pub in_doubt: u64,
    /// Of the removals of what left the model: accepted, or in doubt.
    pub removals_sent: u64,
    /// Removals that a guard held back; the next run plans them again.
    pub held_back: u64,
    /// Of the removals that were planned: those of people who may not be sent, by cause.
    pub removed_for: CauseCounts,
    /// Rows of the model that may not be sent, by cause.
    pub ineligible: CauseCounts,
    /// Of these: records that stay as they are at the destination.
    pub frozen: u64,
    /// Planned and not sent: rows that were not to be sent any more when the plan was approved.
    pub vetoed: u64,
}

/// Values that a field of a run's plan refused, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldValues {
    /// The field.
    pub field: String,
    /// The reason's code.
    pub code: String,
    /// How many were refused.
    pub invalid: u64,
    /// How many values of the field were taken.
    pub valid: u64,
}

impl fmt::Display for FieldValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, code, invalid, valid } = self;
        write!(f, "`{field}`: {invalid} values cannot be sent ({code}), {valid} can")
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// A word for scripts: a fault class, `guard`, `state` …
    pub class: String,
    /// What happened; never row values.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// What is known of a run when it is made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The sync's name.
    pub sync: String,
    /// What started it.
    pub trigger: Trigger,
    /// The first stage.
    pub stage: String,
    /// Digest of the configuration it runs by.
    pub config_digest: Option<String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// `20261120T123456-7f3a`: sorts by start.
    pub id: String,
    /// The sync's name.
    pub sync: String,
    /// Where it stands, for people.
    pub status: RunStatus,
    /// The durable stage it goes on from after a crash, in the run's own words.
    pub stage: String,
    /// What started it.
    pub trigger: Trigger,
    /// When it was made.
    pub started: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Numbers of rows.
    pub counts: RunCounts,
    /// Hash of its plan.
    pub plan_hash: Option<String>,
    /// The plan's file.
    pub plan_path: Option<PathBuf>,
    /// Digest of the configuration it runs by.
    pub config_digest: Option<String>,
    /// The destination account's identity.
    pub identity: Option<String>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Why it is (or was) held; sentences without row values.
    pub held_reasons: Vec<String>,
    /// What else its owner should know; sentences without row values.
    pub warnings: Vec<String>,
    /// The values that its fields refused.
    pub fields: Vec<FieldValues>,
    /// How many rows go first, as `[guards] canary` says it: `1%`, `100`.
    pub canary: Option<String>,
    /// Calls made to the destination.
    pub calls: u64,
    /// The exit code of its command.
    pub exit_code: Option<u8>,
}

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
