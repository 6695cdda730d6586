//! Records whose ids are not remembered: looked for before their rows are written, at all destinations alike.
//!
//! Whoever writes a batch asks [`records`] first: the rows that it leaves have their ids, as far as they need them, and
//! the others are done with. A removal whose record is nowhere is done; a moved row whose record is nowhere is made, where
//! the sync upserts (the call that was to make it never arrived, or somebody deleted it). An update goes to the record
//! that has the match value now, whatever is remembered.

use crate::batch::{Batch, Operation, Reason, Row, Verdict};
use crate::destination::{Destination, Lookup, Match, Presence, Run};
use crate::fault::Fault;
use crate::preview::RequestPreview;
use crate::value::Value;

/// How the records of a sync's rows are looked for.
#[derive(Clone, Debug)]
pub struct Finder {
    /// The sync's object, as [`Destination::lookup`] knows it.
    pub object: String,
    /// The match field.
    pub by: String,
    /// Its place among the sync's fields.
    pub place: usize,
    /// Whether a moved row whose record is nowhere is made.
    pub upserts: bool,
    /// Rows of a call. A larger batch is that of a job, whose results are joined to rows by what is remembered, after a
    /// restart, too: where something has to be looked for it is cut.
    pub most: usize,
}

impl Finder {
    /// The match values to look for of rows whose ids are not known, the old one of a row before the present one; and the
    /// place of each value's row.
    fn question(&self, rows: &[Row]) -> (Vec<usize>, Lookup) {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate().filter(|(_, row)| row.address.remote_id.is_none()) {
            let old = row.address.match_value.clone();
            let present = row.match_value(self.place).ok().filter(|present| Some(present) != old.as_ref());
            for value in old.into_iter().chain(present).filter(|value| !value.is_empty()) {
                places.push(place);
                values.push(Value::Text(value));
            }
        }
        (places, Lookup { object: self.object.clone(), by: self.by.clone(), values })
    }

    /// What is known of each row; `None` where nothing is looked for.
    async fn ask(&self, destination: &(impl Destination + ?Sized), rows: &[Row]) -> Result<Vec<Option<Match>>, Fault> {
        let (places, query) = self.question(rows);
        let mut found: Vec<Option<Match>> = vec![None; rows.len()];
        let told = destination.lookup(&query).await.map_err(Fault::not_applied)?;
        for (place, told) in places.into_iter().zip(told) {
            found[place] = Some(found[place].take().unwrap_or(Match::Absent).and(told));
        }
        Ok(found)
    }
}

/// How the records of a batch are looked for before it is written.
fn finder(destination: &dyn Destination, batch: &mut Batch) -> Option<Finder> {
    let finder = destination.finder(batch.operation).filter(|_| batch.operation != Operation::Create)?;
    if batch.operation == Operation::Update {
        batch.rows.iter_mut().for_each(|row| row.address.remote_id = None);
    }
    Some(finder).filter(|_| batch.rows.iter().any(|row| row.address.remote_id.is_none()))
}

/// Gives the rows of a batch the ids that they lack, and takes out those that are done with.
///
/// # Errors
/// `Split` where some records are to be moved and others made, and for a batch that is too large; else what the look-up
/// says of itself. Nothing was written, and no row is done with.
pub async fn records(destination: &dyn Destination, batch: &mut Batch) -> Result<Vec<(Row, Verdict)>, Fault> {
    let Some(finder) = finder(destination, batch) else { return Ok(Vec::new()) };
    batch.at_most(finder.most)?;
    let found = finder.ask(destination, &batch.rows).await?;
    let operation = batch.operation;
    let makes = operation == Operation::Move && finder.upserts;
    let verdict = |found: &Option<Match>| {
        let (code, text) = match found {
            None | Some(Match::One(_)) => return None,
            Some(Match::Absent) if makes => return None,
            Some(Match::Absent) if operation.is_removal() => return Some(Verdict::Unchanged),
            Some(Match::Absent) => ("NOT_FOUND", "no record has this match value"),
            Some(Match::Several) => ("AMBIGUOUS_MATCH", "several records have this match value"),
            Some(Match::Untold) => {
                ("MATCH_NOT_CONFIRMED", "the look-up was answered without a word of this match value")
            }
        };
        Some(Verdict::Rejected(Reason::new(code, text)))
    };
    let left = found.iter().filter(|found| verdict(found).is_none()).count();
    match found.iter().filter(|found| makes && **found == Some(Match::Absent)).count() {
        0 => {}
        made if made == left => batch.operation = Operation::Upsert,
        _ => return Err(Fault::split("some records of the batch are to be moved and others to be made")),
    }
    let (mut rows, mut done) = (Vec::with_capacity(left), Vec::new());
    for (mut row, found) in std::mem::take(&mut batch.rows).into_iter().zip(found) {
        if let Some(verdict) = verdict(&found) {
            done.push((row, verdict));
            continue;
        }
        if let Some(Match::One(id)) = found {
            row.address.remote_id = Some(id);
        }
        rows.push(row);
    }
    batch.rows = rows;
    Ok(done)
}

/// Which rows of a batch whose answer was lost are there, by their match values.
///
/// # Errors
/// As [`Destination::find_written`].
pub async fn written(destination: &(impl Destination + ?Sized), batch: &Batch) -> Result<Vec<Presence>, Fault> {
    let found = match destination.finder(batch.operation) {
        Some(finder) => finder.ask(destination, &batch.rows).await?,
        None => vec![None; batch.rows.len()],
    };
    let presence = |found| match found {
        Some(Match::One(id)) => Presence::There { remote_id: Some(id) },
        Some(Match::Absent) => Presence::Absent,
        Some(Match::Several | Match::Untold) | None => Presence::Unknown,
    };
    Ok(found.into_iter().map(presence).collect())
}

/// The requests that look for the records of a batch and write it, redacted. Rows whose ids only the look-up can tell are
/// in no request after it.
///
/// # Errors
/// A batch that cannot be rendered.
pub fn preview(destination: &dyn Destination, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
    let mut batch = batch.clone();
    let query = finder(destination, &mut batch).map(|finder| finder.question(&batch.rows).1);
    let mut requests = query.map_or(Ok(Vec::new()), |query| destination.preview_lookup(&query))?;
    requests.extend(destination.preview(run, &batch)?);
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::batch::{Address, Delivery};
    use crate::contract::{row, run};
    use crate::destination::{AccountReport, Tickets};
    use crate::fault::FaultClass;

    /// Records by match value, in the alphabet's letters; a value with `?` is not spoken of.
    #[derive(Default)]
    struct Records {
        there: Vec<(&'static str, Match)>,
        makes: bool,
        fault: Option<FaultClass>,
        asked: Mutex<Vec<Vec<String>>>,
    }

    #[async_trait]
    impl Destination for Records {
        async fn check(&self) -> Result<AccountReport, Fault> {
            Ok(AccountReport::default())
        }

        async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
            assert_eq!((query.object.as_str(), query.by.as_str()), ("things", "key"));
            let texts: Vec<String> = query.values.iter().map(Value::to_text).collect();
            self.asked.lock().expect("no panic").push(texts.clone());
            if let Some(class) = self.fault {
                let mut fault = Fault::bug("no answer");
                fault.class = class;
                return Err(fault);
            }
            let found = |text: &String| match self.there.iter().find(|(value, _)| value == text) {
                Some((_, found)) => found.clone(),
                None if text.contains('?') => Match::Untold,
                None => Match::Absent,
            };
            Ok(texts.iter().map(found).collect())
        }

        fn preview_lookup(&self, query: &Lookup) -> Result<Vec<RequestPreview>, Fault> {
            Ok(vec![shown(&format!("{} values", query.values.len()))])
        }

        fn finder(&self, operation: Operation) -> Option<Finder> {
            let (object, by) = (String::from("things"), String::from("key"));
            let finder = Finder { object, by, place: 0, upserts: self.makes, most: 5 };
            (operation != Operation::Upsert).then_some(finder)
        }

        async fn write(&self, _: &Run, _: &Batch, _: Tickets<'_>) -> Result<Delivery, Fault> {
            Err(Fault::bug("nothing is written here"))
        }

        fn preview(&self, _: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
            Ok(vec![shown(&format!("{} ids", batch.rows.iter().filter(|row| row.id().is_ok()).count()))])
        }
    }

    fn shown(body: &str) -> RequestPreview {
        RequestPreview { method: String::new(), target: String::new(), headers: Vec::new(), body: body.to_owned() }
    }

    fn one(id: &str) -> Match {
        Match::One(id.to_owned())
    }

    /// Rows of `id/old` and the present match value; each may be left out.
    fn batch(operation: Operation, rows: &[(&str, &str)]) -> Batch {
        let part = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let rows = (0..).zip(rows).map(|(n, (address, present))| {
            let (id, old) = address.split_once('/').expect("id/old");
            let fields = part(present).map(Value::Text).into_iter().collect();
            let address = Address { remote_id: part(id), match_value: part(old) };
            Row { address, ..row(n, i64::try_from(n).expect("a small number"), fields) }
        });
        Batch { operation, seq: 0, last: false, rows: rows.collect() }
    }

    /// The rows that are left, with their ids, and the verdicts on the others.
    async fn found(records: &Records, mut batch: Batch) -> (Operation, Vec<(u64, String)>, Vec<(u64, String)>) {
        let done = super::records(records, &mut batch).await.expect("an answer");
        let left = batch.rows.iter().map(|row| (row.op, row.address.remote_id.clone().unwrap_or_default()));
        let said = |verdict| match verdict {
            Verdict::Rejected(reason) => reason.code,
            other => format!("{other:?}"),
        };
        (batch.operation, left.collect(), done.into_iter().map(|(row, verdict)| (row.op, said(verdict))).collect())
    }

    fn rows(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|(op, text)| (*op, (*text).to_owned())).collect()
    }

    #[tokio::test]
    async fn what_is_remembered_is_not_looked_for_and_each_row_is_told_what_was_found() {
        let there = vec![("a", one("1")), ("b", Match::Several)];
        let records = Records { there, ..Records::default() };
        let removals = [("7/a", ""), ("/a", ""), ("/b", ""), ("/x", ""), ("/?", "")];
        let (_, left, done) = found(&records, batch(Operation::Delete, &removals)).await;
        assert_eq!(left, rows(&[(0, "7"), (1, "1")]));
        let expected = [(2, "AMBIGUOUS_MATCH"), (3, "Unchanged"), (4, "MATCH_NOT_CONFIRMED")];
        assert_eq!(done, rows(&expected));
        assert_eq!(*records.asked.lock().expect("no panic"), [["a", "b", "x", "?"]]);
        // Nothing to look for: the destination refuses the row.
        let (_, left, done) = found(&records, batch(Operation::Clear, &[("8/a", ""), ("/", "")])).await;
        assert_eq!((left, done), (rows(&[(0, "8"), (1, "")]), Vec::new()));
        for operation in [Operation::Upsert, Operation::Create] {
            let (_, left, _) = found(&records, batch(operation, &[("/a", "a"), ("/x", "x")])).await;
            assert_eq!(left, rows(&[(0, ""), (1, "")]), "{operation:?} is not by id");
        }
        let asked: Vec<usize> = records.asked.lock().expect("no panic").iter().map(Vec::len).collect();
        assert_eq!(asked, [4, 0], "a question of nothing is no call");
    }

    #[tokio::test]
    async fn an_update_goes_to_the_record_that_has_the_match_value_now() {
        let records = Records { there: vec![("a", one("1"))], ..Records::default() };
        let updates = [("7/a", "a"), ("8/x", "x"), ("9/", "")];
        let (operation, left, done) = found(&records, batch(Operation::Update, &updates)).await;
        assert_eq!((operation, left), (Operation::Update, rows(&[(0, "1"), (2, "")])));
        assert_eq!(done, rows(&[(1, "NOT_FOUND")]));
        assert_eq!(*records.asked.lock().expect("no panic"), [["a", "x"]], "each value once");
    }

    #[tokio::test]
    async fn a_moved_record_is_found_by_its_old_value_or_by_its_new_one() {
        let there = vec![("a", one("1")), ("b2", one("2")), ("c", one("3")), ("c2", one("4"))];
        let records = Records { there, ..Records::default() };
        // The last: under its old value it may be there, and it is not under the new one.
        let moves = [("/a", "a2"), ("/b", "b2"), ("/c", "c2"), ("/?", "b2"), ("/?", "x")];
        let (operation, left, done) = found(&records, batch(Operation::Move, &moves)).await;
        assert_eq!((operation, left), (Operation::Move, rows(&[(0, "1"), (1, "2"), (3, "2")])));
        assert_eq!(done, rows(&[(2, "AMBIGUOUS_MATCH"), (4, "MATCH_NOT_CONFIRMED")]));
    }

    #[tokio::test]
    async fn a_moved_record_that_is_nowhere_is_made_where_the_sync_upserts_and_else_refused() {
        let moves = [("/x", "x2"), ("/?", "y2")];
        let (_, left, done) = found(&Records::default(), batch(Operation::Move, &moves)).await;
        assert_eq!((left, done), (Vec::new(), rows(&[(0, "NOT_FOUND"), (1, "MATCH_NOT_CONFIRMED")])));
        let records = Records { there: vec![("a", one("1"))], makes: true, ..Records::default() };
        let (operation, left, done) = found(&records, batch(Operation::Move, &moves)).await;
        assert_eq!((operation, left), (Operation::Upsert, rows(&[(0, "")])));
        assert_eq!(done, rows(&[(1, "MATCH_NOT_CONFIRMED")]));
        for with in [("/a", "a2"), ("7/b", "b2")] {
            let mut mixed = batch(Operation::Move, &[moves[0], with]);
            let before = mixed.clone();
            let fault = super::records(&records, &mut mixed).await.expect_err("two kinds of call");
            assert_eq!((fault.class, mixed), (FaultClass::Split, before));
        }
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_cut_where_something_has_to_be_looked_for() {
        let records = Records::default();
        let mut known = batch(Operation::Delete, &[("7/a", ""); 6]);
        assert_eq!(super::records(&records, &mut known).await.expect("nothing to look for"), []);
        known.rows[3].address.remote_id = None;
        assert_eq!(super::records(&records, &mut known).await.expect_err("six").class, FaultClass::Split);
        assert_eq!(records.asked.lock().expect("no panic").len(), 0);
    }

    #[tokio::test]
    async fn a_look_up_that_fails_has_written_nothing_and_settles_nothing() {
        for (class, expected) in [(FaultClass::Ambiguous, FaultClass::Transient), (FaultClass::Auth, FaultClass::Auth)]
        {
            let records = Records { fault: Some(class), ..Records::default() };
            let mut removals = batch(Operation::Delete, &[("/a", ""), ("7/b", "")]);
            let before = removals.clone();
            let fault = super::records(&records, &mut removals).await.expect_err("no answer");
            assert_eq!((fault.class, removals), (expected, before));
        }
    }

    #[tokio::test]
    async fn lost_creations_are_there_where_one_record_has_their_match_value() {
        let there = vec![("a", one("1")), ("b", Match::Several)];
        let records = Records { there, ..Records::default() };
        let lost = batch(Operation::Create, &[("/a", "a"), ("/b", "b"), ("/x", "x"), ("/?", "?"), ("/", "")]);
        let said = written(&records, &lost).await.expect("an answer");
        let is_there = Presence::There { remote_id: Some(String::from("1")) };
        use Presence::{Absent, Unknown};
        assert_eq!(said, [is_there, Unknown, Absent, Unknown, Unknown]);
        let upserts = batch(Operation::Upsert, &[("/a", "a")]);
        assert_eq!(written(&records, &upserts).await.expect("an answer"), [Unknown]);
    }

    #[test]
    fn a_preview_shows_the_look_up_where_one_would_be_made() {
        let bodies = |operation, rows: &[(&str, &str)]| -> Vec<String> {
            let shown = preview(&Records::default(), &run(), &batch(operation, rows)).expect("requests");
            shown.into_iter().map(|request| request.body).collect()
        };
        assert_eq!(bodies(Operation::Delete, &[("7/a", "")]), ["1 ids"]);
        assert_eq!(bodies(Operation::Delete, &[("7/a", ""), ("/b", "")]), ["1 values", "1 ids"]);
        assert_eq!(bodies(Operation::Move, &[("/a", "a2")]), ["2 values", "0 ids"]);
        assert_eq!(bodies(Operation::Update, &[("7/a", "a")]), ["1 values", "0 ids"]);
    }
}
