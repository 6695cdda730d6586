//! What a scan of a growing model asks for, and how far it comes.
//!
//! The watermark is the newest row of a scan; it counts when the scan's run is settled ([`crate::snapshot::Growth`]).

use std::time::Duration;

use backhaul_kit::config::Problem;
use backhaul_kit::{Fault, Projection, RowPage, Schema, Since, TypeClass, Value, key};
use jiff::{SignedDuration, Timestamp};

use super::RunError;
use super::site::standing_folder;
use crate::check::Finding;
use crate::config::{Begin, CheckSeverity, Incremental, ModelDef, Project, SyncDef};
use crate::diff::DiffError;
use crate::snapshot::{Growing, Snapshot, Store};

/// What the scan of a sync asks its model for; `None` where that does not grow. A `full` scan begins anew.
pub(super) fn growing(model: &ModelDef, snapshot: &Snapshot, full: bool, now: Timestamp) -> Option<Growing> {
    let Incremental { column, lookback, begin, .. } = model.incremental.as_ref()?;
    let key: Vec<String> = model.key.iter().map(|(column, _)| column.clone()).collect();
    let known = snapshot.growth().filter(|growth| growth.is_of(column, &key));
    let begin = match begin {
        Begin::All => None,
        Begin::At(time) => Some(*time),
        // The moment of the first run that was settled, whatever was written then.
        Begin::Now => snapshot.growth().map_or(Some(now), |growth| growth.begin),
    };
    let watermark = known.and_then(|growth| growth.watermark).filter(|_| !full);
    let from = watermark.map(|watermark| back(watermark, *lookback)).max(begin);
    Some(Growing { column: column.clone(), key, begin, from })
}

/// The newest row of a growing model that the sync has delivered, or its keys are asked for again; `None` where the model does
/// not grow, or nothing was settled.
///
/// # Errors
/// The snapshot's manifest cannot be read.
pub fn watermark(project: &Project, sync: &SyncDef) -> Result<Option<Timestamp>, RunError> {
    let Some(incremental) = &sync.model.incremental else { return Ok(None) };
    let key: Vec<String> = sync.model.key.iter().map(|(column, _)| column.clone()).collect();
    let growth = Store::growth(&standing_folder(project, sync))?;
    Ok(growth.filter(|growth| growth.is_of(&incremental.column, &key)).and_then(|growth| growth.watermark))
}

fn back(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// The same as the warehouse is asked for it, with the keys that are open.
pub(super) fn since(growing: &Growing, snapshot: &Snapshot) -> Result<Since, Fault> {
    let known = snapshot.growth().is_some_and(|growth| growth.is_of(&growing.column, &growing.key));
    let open = snapshot.open_keys().iter().filter(|_| known);
    let parts = |bytes: &Vec<u8>| key::decode(bytes).filter(|parts| parts.len() == growing.key.len());
    let keys = open.map(parts).collect::<Option<Vec<Vec<Value>>>>();
    Ok(Since {
        column: growing.column.clone(),
        from: growing.from.map(Timestamp::as_microsecond),
        key: growing.key.clone(),
        keys: keys.ok_or_else(|| Fault::bug("an open key of the snapshot is no key of the model"))?,
    })
}

/// Refuses a column that has no times. `in_text` says whether texts may say them.
pub(super) fn check_column(model: &ModelDef, schema: &Schema, in_text: bool) -> Result<(), RunError> {
    let Some(Incremental { column, span, .. }) = &model.incremental else { return Ok(()) };
    match schema.column(column) {
        Some((_, known)) if is_time(&known.class) || in_text && known.class == TypeClass::Text => Ok(()),
        Some((_, known)) => Err(RunError::Problems(vec![
            Problem::error(
                "incremental-type",
                format!("column `{column}` of model `{}` is {}, and says no time", model.name, known.native),
            )
            .at(span)
            .remedy("name a column with a date or a time, or make one of it in the model"),
        ])),
        // What is not there is told with all other columns.
        None => Ok(()),
    }
}

fn is_time(class: &TypeClass) -> bool {
    matches!(class, TypeClass::Timestamp | TypeClass::LocalTimestamp | TypeClass::Date | TypeClass::Any)
}

/// Looks for the newest row of a scan.
pub(super) struct Newest {
    column: String,
    place: usize,
    /// The time of the scan: a row from the future is taken for one of now, or all that come until then were passed
    /// over.
    now: Timestamp,
    newest: Option<i64>,
    /// Rows without a time.
    without: u64,
}

impl Newest {
    /// Of rows of this projection, to which the column is added where it is missing.
    pub(super) fn new(growing: &Growing, projection: &mut Projection, now: Timestamp) -> Self {
        let known = projection.columns.iter().position(|column| *column == growing.column);
        let place = known.unwrap_or_else(|| {
            projection.columns.push(growing.column.clone());
            projection.columns.len() - 1
        });
        Self { column: growing.column.clone(), place, now, newest: None, without: 0 }
    }

    /// Looks at the rows of a page.
    pub(super) fn page(&mut self, page: &dyn RowPage) -> Result<(), DiffError> {
        for row in 0..page.rows() {
            let value = page.value(row, self.place)?;
            match value.moment() {
                Some(at) => self.newest = self.newest.max(Some(at)),
                None if matches!(value, Value::Null | Value::Text(_) | Value::Invalid(_)) => self.without += 1,
                None => return Err(self.no_time().into()),
            }
        }
        Ok(())
    }

    fn no_time(&self) -> Fault {
        Fault::config(format!("column `{}`, by which the model grows, has values that are no times", self.column))
            .remedy("name a column with a date or a time, or make one of it in the model")
    }

    /// The newest time.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let newest = Timestamp::from_microsecond(self.newest?).ok()?;
        Some(newest.min(self.now))
    }

    /// What the sync's owner should know.
    pub(super) fn finding(&self) -> Option<Finding> {
        (self.without > 0).then(|| Finding {
            check: "incremental",
            severity: CheckSeverity::Warn,
            text: format!("{} rows have no time in `{}`: every scan reads them again", self.without, self.column),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::{FaultClass, RowDigest};

    /// Rows of one column.
    struct Column(Vec<Value>);

    impl RowPage for Column {
        fn rows(&self) -> usize {
            self.0.len()
        }

        fn digest(&self, _: &mut Vec<RowDigest>) -> Result<(), Fault> {
            Ok(())
        }

        fn key(&self, _: usize, _: &mut Vec<u8>) -> Result<(), Fault> {
            Ok(())
        }

        fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
            Ok(vec![Value::Int(1), self.0[row].clone()])
        }
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn newest() -> Newest {
        let growing = Growing { column: "at".into(), key: vec!["id".into()], begin: None, from: None };
        let columns = vec![String::from("id")];
        let mut projection = Projection { columns, fingerprinted: 1, key: vec![0], seed: 7 };
        let newest = Newest::new(&growing, &mut projection, moment("2026-11-01T12:00:00Z"));
        assert_eq!((projection.columns, projection.fingerprinted), (vec!["id".into(), "at".into()], 1));
        newest
    }

    #[test]
    fn the_newest_row_is_none_of_the_future_and_rows_without_a_time_are_counted() {
        let text = |text: &str| Value::Text(text.into());
        let mut seen = newest();
        let page = |values| Column(values);
        seen.page(&page(vec![Value::Null, text("soon"), Value::Invalid("infinity".into())])).expect("a page");
        assert_eq!(seen.time(), None);
        assert!(seen.finding().is_some_and(|finding| finding.text.starts_with("3 rows have no time in `at`")));
        seen.page(&page(vec![text("2026-11-01 08:00:00"), text("2026-10-31"), Value::Date(20_000)])).expect("a page");
        assert_eq!(seen.time(), Some(moment("2026-11-01T08:00:00Z")));
        seen.page(&page(vec![text("2026-11-01 11:30:00.25+02:00"), text("2026-11-01T09:00:00Z")])).expect("a page");
        assert_eq!(seen.time(), Some(moment("2026-11-01T09:30:00.25Z")));
        seen.page(&page(vec![text("2099-01-01")])).expect("a page");
        assert_eq!(seen.time(), Some(moment("2026-11-01T12:00:00Z")));
    }

    #[test]
    fn a_number_says_no_time() {
        let DiffError::Source(fault) = newest().page(&Column(vec![Value::Int(1_793_527_200)])).expect_err("a number")
        else {
            panic!("no fault")
        };
        assert_eq!(fault.class, FaultClass::Config);
    }

    #[test]
    fn a_long_lookback_ends_where_time_begins() {
        assert_eq!(back(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MIN);
        assert_eq!(back(moment("2026-11-01T12:00:00Z"), Duration::from_secs(7200)), moment("2026-11-01T10:00:00Z"));
    }
}
