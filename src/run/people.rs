//! Who may be sent, asked at the warehouse. A suppression list is read in the scan's own snapshot where it is of the
//! scan's warehouse; one of another warehouse, or of files, is read by a scan of its own just before.
//!
//! A list counts only when it is whole: its rows are proved complete as those of a model are, and it must not have lost
//! more of them since the last run than `max_shrink` allows. How many it had then is kept in the state, for each list of
//! the project once. Its values are held as hashes, all lists of a sync together in a quarter of `state.memory`; what is
//! more goes to scratch files.

use std::collections::BTreeMap;
use std::sync::Arc;

use backhaul_kit::config::{Problem, nearest};
use backhaul_kit::{Column, Fault, Kit, Projection, Scan, Scanned, Schema, TakeRow, TypeClass, Value};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::RunError;
use super::scan::{at_sql, model_of, source};
use crate::config::{ModelDef, OnIneligible, Project, Signal, Suppression, SyncDef, Threshold};
use crate::diff::{DiffError, Draw, Eligibility, Given, ListColumn, Lists, OpKind, PlanError, PlanReader, Scratch};
use crate::mapping::{cannot_identify, is_identifying};
use crate::state::FieldValues;

/// How many rows every list had.
pub(super) type ListRows = BTreeMap<String, u64>;

/// Decides who may be sent; and the lists that it was made from.
pub(super) struct Decider {
    pub(super) eligibility: Eligibility,
    pub(super) lists: ListRows,
}

/// What is asked with.
pub(super) struct Asked<'a> {
    pub(super) project: &'a Project,
    pub(super) kit: &'a Arc<Kit>,
    pub(super) sync: &'a SyncDef,
    /// The model's columns.
    pub(super) columns: &'a Schema,
    /// How many rows every list had last time.
    pub(super) before: &'a ListRows,
}

impl Asked<'_> {
    /// Reads the sync's lists, and adds to the projection the columns that decide and that it lacks. `scratch` makes the
    /// files for what memory has no room for. `None` where every row may be sent.
    pub(super) async fn decider(
        &self,
        scan: &mut dyn Scan,
        projection: &mut Projection,
        scratch: Scratch,
    ) -> Result<Option<Decider>, RunError> {
        let people = &self.sync.people;
        if !people.decide() {
            return Ok(None);
        }
        let mut place = |column: &str| {
            let known = projection.columns.iter().position(|known| known == column);
            known.unwrap_or_else(|| {
                projection.columns.push(column.to_owned());
                projection.columns.len() - 1
            })
        };
        let removes = people.on_ineligible == OnIneligible::Remove;
        let mut decider =
            Decider { eligibility: Eligibility { removes, ..Eligibility::default() }, lists: ListRows::new() };
        let mut lists = Lists::new(self.project.state.memory, scratch);
        for list in &people.suppress {
            let first = decider.eligibility.suppressed.len() as u64;
            let rows = self.list(scan, list, first, &mut lists).await?;
            check_shrink(list, rows, self.before.get(&list.name).copied())?;
            decider.lists.insert(list.name.clone(), rows);
            let columns = (first..).map(ListColumn);
            decider.eligibility.suppressed.extend(list.on.iter().map(|pair| place(&pair.sent)).zip(columns));
        }
        let sorting = tokio::task::spawn_blocking(|| lists.ready());
        decider.eligibility.listed =
            sorting.await.map_err(|e| Fault::bug("sorting suppression lists ended early").caused_by(e))??;
        let given = |signal: &Signal, column| Given { column, granted: signal.granted.clone() };
        let signals = people.signals().iter();
        decider.eligibility.consent.extend(signals.map(|signal| given(signal, place(&signal.column))));
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let holdout = people.holdout.as_ref().filter(|holdout| holdout.until.is_none_or(|until| today <= until));
        decider.eligibility.holdout =
            holdout.map(|holdout| (place(&holdout.by), Draw::new(holdout.fraction, &holdout.salt)));
        Ok(Some(decider))
    }

    /// Asks whether the sync's lists have the columns that are compared; reads none of their rows.
    pub(super) async fn check(&self, scan: &mut dyn Scan) -> Result<(), RunError> {
        for list in &self.sync.people.suppress {
            self.open(scan, list).await?;
        }
        Ok(())
    }

    /// Adds the values of a list to `lists`, of its columns that are compared the first as column `first`; gives how many
    /// rows it has.
    async fn list(
        &self,
        scan: &mut dyn Scan,
        list: &Suppression,
        first: u64,
        lists: &mut Lists,
    ) -> Result<u64, RunError> {
        let other = self.open(scan, list).await?;
        let columns: Vec<String> = list.on.iter().map(|pair| pair.listed.clone()).collect();
        let mut failed = None;
        let mut take = |row: &[Value]| {
            let mut added = (first..).map(ListColumn).zip(row).map(|(column, value)| lists.add(column, value));
            match added.find_map(Result::err) {
                None => Ok(()),
                Some(DiffError::Source(fault)) => Err(fault),
                Some(error) => {
                    failed = Some(error);
                    Err(Fault::bug("a list could not be kept"))
                }
            }
        };
        let rows = match other {
            None => scan.other_rows(&model_of(&list.model, None), &columns, &mut take).await,
            Some(other) => read(other, &columns, &mut take).await,
        };
        match failed {
            Some(error) => Err(error.into()),
            None => rows.map_err(|fault| of_list(fault, list)),
        }
    }

    /// A scan of the list, where the model's own cannot read it. Its columns are there and can be compared.
    async fn open(&self, scan: &mut dyn Scan, list: &Suppression) -> Result<Option<Box<dyn Scan>>, RunError> {
        let model = model_of(&list.model, None);
        if list.model.warehouse == self.sync.model.warehouse
            && let Some(columns) = scan.other_columns(&model).await.map_err(|fault| of_list(fault, list))?
        {
            self.check_columns(list, &columns)?;
            return Ok(None);
        }
        let source = source(self.project, &list.model.warehouse, self.kit)?;
        let mut other = source.open(&model).await.map_err(|fault| of_list(fault, list))?;
        self.check_columns(list, &other.columns().await.map_err(|fault| of_list(fault, list))?)?;
        Ok(Some(other))
    }

    fn check_columns(&self, list: &Suppression, columns: &Schema) -> Result<(), RunError> {
        let mut problems = Vec::new();
        for pair in &list.on {
            let sent = self.columns.column(&pair.sent).map(|(_, column)| column);
            match columns.column(&pair.listed) {
                None => problems.push(unknown_column(&list.model, &pair.listed, columns).at(&pair.listed_span)),
                Some((_, column)) if !is_identifying(&column.class) => {
                    problems.push(cannot_identify(column).at(&pair.listed_span));
                }
                Some((_, column)) => {
                    let unlike = sent.filter(|sent| !are_alike(&column.class, &sent.class));
                    problems.extend(unlike.map(|sent| no_comparison(column, sent).at(&pair.listed_span)));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(RunError::Problems(problems)) }
    }
}

/// Reads a scan of its own to its end.
async fn read(scan: Box<dyn Scan>, columns: &[String], take: &mut TakeRow<'_>) -> Result<u64, Fault> {
    // A projection has a key; nobody asks for it.
    let projection = Projection { columns: columns.to_vec(), fingerprinted: columns.len(), key: vec![0], seed: 0 };
    let mut pages = scan.pages(projection);
    let mut came = 0;
    while let Some(scanned) = pages.next().await {
        match scanned? {
            Scanned::Page(page) => {
                for row in 0..page.rows() {
                    take(&page.record(row)?)?;
                }
                came += page.rows() as u64;
            }
            Scanned::End { rows, .. } if rows == came => return Ok(rows),
            Scanned::End { .. } => break,
        }
    }
    Err(Fault::transient("its rows ended without a proof that they were all"))
}

/// A list that loses rows, or all of them, is not believed.
fn check_shrink(list: &Suppression, rows: u64, before: Option<u64>) -> Result<(), RunError> {
    let Some(before) = before else { return Ok(()) };
    let believed = matches!(list.max_shrink, Threshold::Percent { fraction, .. } if fraction >= 1.0);
    let emptied = rows == 0 && before > 0;
    if believed || !emptied && !list.max_shrink.is_exceeded(before.saturating_sub(rows), before) {
        return Ok(());
    }
    let (name, limit) = (&list.name, list.max_shrink);
    let beyond = if emptied { String::new() } else { format!(", less than max_shrink = {limit} allows") };
    Err(RunError::Refused {
        message: format!("suppression list `{name}` has {rows} rows and had {before}{beyond}: nothing was sent"),
        remedy: String::from("have the list mended; if it is right, set its max_shrink = \"100%\" for one run"),
        exit: 5,
    })
}

fn of_list(mut fault: Fault, list: &Suppression) -> RunError {
    fault.message = format!("suppression list `{}`: {}", list.name, fault.message);
    at_sql(fault, &list.model)
}

/// Whether equal values of the two are found to be equal.
fn are_alike(a: &TypeClass, b: &TypeClass) -> bool {
    let plain = |class: &TypeClass| matches!(class, TypeClass::Integer | TypeClass::Text | TypeClass::Any);
    a == b || plain(a) && plain(b)
}

fn no_comparison(listed: &Column, sent: &Column) -> Problem {
    let (a, b) = (&listed.name, &sent.name);
    let message = format!("`{a}` of the list is {} and `{b}` of the model is {}", listed.class, sent.class);
    Problem::error("wrong-column-type", format!("{message}: equal values could not be told"))
        .remedy("cast one of them in its model, to text for example")
}

fn unknown_column(model: &ModelDef, name: &str, columns: &Schema) -> Problem {
    let problem = Problem::error("unknown-column", format!("the model \"{}\" has no column `{name}`", model.name))
        .remedy(format!("its columns: {}", columns.names().collect::<Vec<_>>().join(", ")));
    match nearest(name, columns.names()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// How many values the fields refuse in the rows that a plan looked at. The mapping of a row ends at its first refusal:
/// the fields before it had taken theirs.
pub(super) fn refused_values(plan: &PlanReader) -> Result<Vec<FieldValues>, PlanError> {
    let counts = plan.summary().counts;
    let taken = counts.added + counts.changed + counts.moved + counts.touched + counts.refreshed;
    let fields = &plan.header().fields;
    let mut refused: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for op in plan.ops(Some(&[OpKind::Reject])) {
        if let Some(reason) = op?.reason
            && let Some(place) = fields.iter().position(|field| Some(field) == reason.field.as_ref())
        {
            *refused.entry((place, reason.code)).or_default() += 1;
        }
    }
    let values = refused.iter().map(|((place, code), invalid)| FieldValues {
        field: fields[*place].clone(),
        code: code.clone(),
        invalid: *invalid,
        valid: taken + refused.range((place + 1, String::new())..).map(|(_, behind)| behind).sum::<u64>(),
    });
    Ok(values.collect())
}
