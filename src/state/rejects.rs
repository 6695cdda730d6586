//! Rows that a destination (or the mapping) refused, kept until they are accepted, and when each is tried again.
//!
//! A row comes again by itself: its fingerprint never moved into the snapshot. What stands here decides only
//! when *not* to try: the same fingerprint is tried on each of the next three runs, then after 1 h, 2 h, 4 h …
//! up to 24 h. A new fingerprint is tried at once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use backhaul_kit::{KeyHash, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Sealer, State, StateError, count, time};

/// How many runs try a refused row again before they begin to wait.
const EAGER_RUNS: u64 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(3600);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Who refused a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectClass {
    /// The mapping: a missing or unfit value.
    Mapping,
    /// The destination.
    Destination,
    /// Nobody: the row was sent, its fate is unknown, and the sync asks for a person's decision.
    InDoubt,
}

impl RejectClass {
    const ALL: [Self; 3] = [Self::Mapping, Self::Destination, Self::InDoubt];

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Destination => "destination",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// What a person says of a row in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was written as sent.
    Written,
    /// It is not there.
    Absent,
    /// Nobody knows: send it again.
    Resend,
}

impl Resolution {
    const ALL: [Self; 3] = [Self::Written, Self::Absent, Self::Resend];

    /// Its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Absent => "absent",
            Self::Resend => "resend",
        }
    }
}

/// A refused row of a run.
#[derive(Clone, Debug)]
pub struct NewReject {
    /// Hash of its key.
    pub key_hash: KeyHash,
    /// Canonical key bytes.
    pub key: Vec<u8>,
    /// Fingerprint of the source row that was refused; 0 for removals.
    pub fingerprint: u64,
    /// Who refused it.
    pub class: RejectClass,
    /// Why.
    pub reason: Reason,
}

/// A kept row. Key and text are people's data: mask them in output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The sync.
    pub sync: String,
    /// Hash of its key.
    pub key_hash: KeyHash,
    /// Canonical key bytes.
    pub key: Vec<u8>,
    /// Fingerprint that was refused last.
    pub fingerprint: u64,
    /// Who refused it.
    pub class: RejectClass,
    /// Why.
    pub reason: Reason,
    /// How many runs this fingerprint was refused in.
    pub attempts: u64,
    /// When the key was first refused.
    pub first_seen: Timestamp,
    /// When it was last refused.
    pub last_seen: Timestamp,
    /// The run that was refused last.
    pub run: String,
    /// Not tried again with the same fingerprint before; `None`: the next run tries it.
    pub next_at: Option<Timestamp>,
    /// What a person said of it.
    pub resolution: Option<Resolution>,
}

impl Reject {
    /// A short name that tells nothing of the key, for the command line.
    pub fn reference(&self) -> String {
        format!("{:08x}", self.key_hash.0 >> 96)
    }
}

/// A key that a run leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Hash of the key.
    pub key_hash: KeyHash,
    /// The fingerprint that is left out; `None`: any, until a person resolved the row.
    pub fingerprint: Option<u64>,
}

/// Kept rows of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectCode {
    /// The sync.
    pub sync: String,
    /// Who refused.
    pub class: RejectClass,
    /// The vendor's code, or ours.
    pub code: String,
    /// The field spoken of.
    pub field: Option<String>,
    /// How many rows.
    pub rows: u64,
}

/// When the same fingerprint is tried again after so many refusals; `None`: on the next run.
fn next_try(attempts: u64, now: Timestamp) -> Option<Timestamp> {
    let doublings = u32::try_from(attempts.checked_sub(EAGER_RUNS + 1)?).unwrap_or(u32::MAX);
    let wait = FIRST_WAIT.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_WAIT);
    Some(now.saturating_add(wait).unwrap_or(Timestamp::MAX))
}

fn context(part: &str, hash: KeyHash) -> Vec<u8> {
    [b"reject ", part.as_bytes(), b" ", hash.0.to_be_bytes().as_slice()].concat()
}

impl State {
    /// Keeps the refused rows of a run. Repeating it for the same run changes nothing.
    ///
    /// # Errors
    /// As any write; all rows are kept or none.
    pub async fn record_rejects(
        &self,
        sync: &str,
        run: &str,
        rows: &[NewReject],
        now: Timestamp,
    ) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        for row in rows {
            let hash = row.key_hash.0.to_be_bytes();
            let fingerprint = row.fingerprint.cast_signed();
            let before: Option<(i64, i64, String)> =
                sqlx::query_as("select fingerprint, attempts, run from rejects where sync = ?1 and key_hash = ?2")
                    .bind(sync)
                    .bind(hash.as_slice())
                    .fetch_optional(&mut *tx)
                    .await?;
            let attempts = match before {
                Some((same, attempts, earlier)) if same == fingerprint => count(attempts)? + u64::from(earlier != run),
                _ => 1,
            };
            sqlx::query(
                "insert into rejects (sync, key_hash, key_sealed, fingerprint, class, code, field, text_sealed,
                    attempts, first_seen, last_seen, run, next_at, resolution)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, null)
                 on conflict (sync, key_hash) do update set key_sealed = ?3, fingerprint = ?4, class = ?5, code = ?6,
                    field = ?7, text_sealed = ?8, attempts = ?9, last_seen = ?10, run = ?11, next_at = ?12,
                    resolution = null",
            )
            .bind(sync)
            .bind(hash.as_slice())
            .bind(self.seal(&context("key", row.key_hash), &row.key)?)
            .bind(fingerprint)
            .bind(row.class.as_str())
            .bind(&row.reason.code)
            .bind(&row.reason.field)
            .bind(self.seal(&context("text", row.key_hash), row.reason.text.as_bytes())?)
            .bind(attempts.cast_signed())
            .bind(now.as_microsecond())
            .bind(run)
            .bind(next_try(attempts, now).map(Timestamp::as_microsecond))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The keys that a run at `now` leaves out: refused with that fingerprint and not due, or in doubt and not
    /// resolved.
    ///
    /// # Errors
    /// As any read.
    pub async fn withheld(&self, sync: &str, now: Timestamp) -> Result<Vec<Withheld>, StateError> {
        let rows = sqlx::query(
            "select key_hash, fingerprint, class from rejects
             where sync = ?1 and resolution is null and (class = 'in_doubt' or next_at > ?2)",
        )
        .bind(sync)
        .bind(now.as_microsecond())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let fingerprint = row.try_get::<i64, _>("fingerprint")?.cast_unsigned();
                let held = row.try_get::<&str, _>("class")? == RejectClass::InDoubt.as_str();
                Ok(Withheld { key_hash: hash(row)?, fingerprint: (!held).then_some(fingerprint) })
            })
            .collect()
    }

    /// The rows of a sync that are in doubt: key, fingerprint as sent (0 for a removal), and what was decided.
    /// The run that acts on a decision clears the row ([`State::clear_rejects`]).
    ///
    /// # Errors
    /// As any read.
    pub async fn in_doubt(&self, sync: &str) -> Result<Vec<(KeyHash, u64, Option<Resolution>)>, StateError> {
        let rows =
            sqlx::query("select key_hash, fingerprint, resolution from rejects where sync = ?1 and class = 'in_doubt'")
                .bind(sync)
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| Ok((hash(row)?, row.try_get::<i64, _>("fingerprint")?.cast_unsigned(), resolution(row)?)))
            .collect()
    }

    /// The keys that are kept, so that a run with many accepted rows clears only these.
    ///
    /// # Errors
    /// As any read.
    pub async fn reject_keys(&self, sync: &str) -> Result<HashSet<KeyHash>, StateError> {
        let rows = sqlx::query("select key_hash from rejects where sync = ?1").bind(sync).fetch_all(&self.pool).await?;
        rows.iter().map(hash).collect()
    }

    /// Forgets the keys: they were accepted, or an operator drops them. Returns how many were there.
    ///
    /// # Errors
    /// As any write; all are forgotten or none.
    pub async fn clear_rejects(&self, sync: &str, keys: &[KeyHash]) -> Result<u64, StateError> {
        self.for_each_key("delete from rejects where sync = ?1 and key_hash = ?2", sync, keys).await
    }

    /// Makes the keys due on the next run. Returns how many were there.
    ///
    /// # Errors
    /// As any write.
    pub async fn retry_rejects(&self, sync: &str, keys: &[KeyHash]) -> Result<u64, StateError> {
        self.for_each_key("update rejects set next_at = null where sync = ?1 and key_hash = ?2", sync, keys).await
    }

    /// Writes down what a person says of rows in doubt; other rows are left alone. Returns how many it was
    /// written for.
    ///
    /// # Errors
    /// As any write.
    pub async fn resolve_rejects(&self, sync: &str, keys: &[KeyHash], to: Resolution) -> Result<u64, StateError> {
        let sql = match to {
            Resolution::Written => {
                "update rejects set resolution = 'written' where sync = ?1 and key_hash = ?2 and class = 'in_doubt'"
            }
            Resolution::Absent => {
                "update rejects set resolution = 'absent' where sync = ?1 and key_hash = ?2 and class = 'in_doubt'"
            }
            Resolution::Resend => {
                "update rejects set resolution = 'resend' where sync = ?1 and key_hash = ?2 and class = 'in_doubt'"
            }
        };
        self.for_each_key(sql, sync, keys).await
    }

    async fn for_each_key(&self, sql: &'static str, sync: &str, keys: &[KeyHash]) -> Result<u64, StateError> {
        let mut tx = self.begin().await?;
        let mut rows = 0;
        for key in keys {
            let done = sqlx::query(sql).bind(sync).bind(key.0.to_be_bytes().to_vec()).execute(&mut *tx).await?;
            rows += done.rows_affected();
        }
        tx.commit().await?;
        Ok(rows)
    }

    /// Kept rows, those refused last first, of one sync or of all; `None` means no limit.
    ///
    /// # Errors
    /// [`StateError::Sealed`] where the key is not the one that sealed them.
    pub async fn rejects(&self, sync: Option<&str>, limit: Option<u32>) -> Result<Vec<Reject>, StateError> {
        let rows = sqlx::query(
            "select * from rejects where ?1 is null or sync = ?1
             order by last_seen desc, sync, key_hash limit ?2",
        )
        .bind(sync)
        .bind(limit.map_or(-1, i64::from))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| reject(row, self.sealer.as_ref())).collect()
    }

    /// The kept rows of a sync that `name` means: a key as [`backhaul_kit::key::display`] writes it, or else the
    /// start of a [`Reject::reference`] (four characters or more).
    ///
    /// # Errors
    /// As [`State::rejects`].
    pub async fn find_rejects(&self, sync: &str, name: &str) -> Result<Vec<Reject>, StateError> {
        let (mut by_key, mut by_reference) = (Vec::new(), Vec::new());
        for reject in self.rejects(Some(sync), None).await? {
            if backhaul_kit::key::display(&reject.key) == name {
                by_key.push(reject);
            } else if name.len() >= 4 && reject.reference().starts_with(name) {
                by_reference.push(reject);
            }
        }
        Ok(if by_key.is_empty() { by_reference } else { by_key })
    }

    /// How many rows each sync has kept; syncs without any are absent.
    ///
    /// # Errors
    /// As any read.
    pub async fn reject_counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select sync, count(*) from rejects group by sync").fetch_all(&self.pool).await?;
        rows.into_iter().map(|(sync, n)| Ok((sync, count(n)?))).collect()
    }

    /// Kept rows by cause, most rows first, of one sync or of all.
    ///
    /// # Errors
    /// As any read.
    pub async fn reject_codes(&self, sync: Option<&str>) -> Result<Vec<RejectCode>, StateError> {
        let rows = sqlx::query(
            "select sync, class, code, field, count(*) as n from rejects where ?1 is null or sync = ?1
             group by sync, class, code, field order by n desc, sync, class, code, field",
        )
        .bind(sync)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RejectCode {
                    sync: row.try_get("sync")?,
                    class: class(row)?,
                    code: row.try_get("code")?,
                    field: row.try_get("field")?,
                    rows: count(row.try_get("n")?)?,
                })
            })
            .collect()
    }
}

fn unreadable() -> StateError {
    StateError::Corrupt(String::from("a kept row cannot be read"))
}

fn hash(row: &SqliteRow) -> Result<KeyHash, StateError> {
    let bytes: &[u8] = row.try_get("key_hash")?;
    Ok(KeyHash(u128::from_be_bytes(bytes.try_into().map_err(|_| unreadable())?)))
}

fn class(row: &SqliteRow) -> Result<RejectClass, StateError> {
    let word: &str = row.try_get("class")?;
    RejectClass::ALL.into_iter().find(|c| c.as_str() == word).ok_or_else(unreadable)
}

fn resolution(row: &SqliteRow) -> Result<Option<Resolution>, StateError> {
    let Some(word) = row.try_get::<Option<&str>, _>("resolution")? else { return Ok(None) };
    Resolution::ALL.into_iter().find(|r| r.as_str() == word).map(Some).ok_or_else(unreadable)
}

fn reject(row: &SqliteRow, sealer: &dyn Sealer) -> Result<Reject, StateError> {
    let key_hash = hash(row)?;
    let unseal = |part: &str, sealed: &[u8]| sealer.open(&context(part, key_hash), sealed).ok_or(StateError::Sealed);
    let text = unseal("text", row.try_get("text_sealed")?)?;
    Ok(Reject {
        sync: row.try_get("sync")?,
        key_hash,
        key: unseal("key", row.try_get("key_sealed")?)?,
        fingerprint: row.try_get::<i64, _>("fingerprint")?.cast_unsigned(),
        class: class(row)?,
        reason: Reason {
            code: row.try_get("code")?,
            text: String::from_utf8(text).map_err(|_| unreadable())?,
            field: row.try_get("field")?,
        },
        attempts: count(row.try_get("attempts")?)?,
        first_seen: time(row.try_get("first_seen")?)?,
        last_seen: time(row.try_get("last_seen")?)?,
        run: row.try_get("run")?,
        next_at: row.try_get::<Option<i64>, _>("next_at")?.map(time).transpose()?,
        resolution: resolution(row)?,
    })
}

#[cfg(test)]
mod tests;
