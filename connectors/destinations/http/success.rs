//! `success`: what the operator says about answers, and reading an answer by it.

use std::collections::HashMap;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem};
use backhaul_kit::{Batch, Evidence, Fault, Outcomes, Reason, Verdict, key};
use serde_json::Value as Json;

use super::job::{Job, unnamed};
use super::request::read_statuses;

/// Rejections carry this many characters of the answer.
const MAX_TEXT: usize = 500;

/// What proves that rows were accepted.
#[derive(Debug)]
pub(super) struct Success {
    /// Statuses of an answer that can prove it.
    pub(super) statuses: Vec<u16>,
    /// What such an answer proves.
    pub(super) proof: Proof,
    /// Where the text of a refusal stands.
    error: Option<Path>,
    /// Where the code of a refusal stands.
    error_code: Option<Path>,
}

/// What an answer with a status of success proves.
#[derive(Debug)]
pub(super) enum Proof {
    /// Every row of the call was accepted, if the flag is set.
    Call {
        /// The flag, and where the record's id stands.
        ok: Option<Flag>,
        /// Where the record's id stands, where a call has one row.
        id: Option<Path>,
    },
    /// Those rows that it names.
    Row(Results),
    /// That the API works on them; the job's own answer says the rest, of all rows alike or by name.
    Job(Box<Job>, Option<Results>),
}

/// Where an answer names rows.
#[derive(Clone, Debug)]
pub(super) struct Results {
    results: Path,
    naming: Naming,
    ok: Option<Flag>,
    unchanged: Option<Flag>,
    retry: Option<Flag>,
    id: Option<Path>,
}

/// How a result says which row it is about.
#[derive(Clone, Debug)]
enum Naming {
    /// By the row's key.
    Key(Path),
    /// By its place in the call, from 0.
    Index(Path),
    /// By standing in the order of the call.
    InOrder,
}

/// A member path (`error.message`); the empty path is the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

/// A member that says something by its value.
#[derive(Clone, Debug)]
pub(super) struct Flag {
    field: Path,
    /// Values that set the flag; none means any value but null and false.
    values: Vec<Json>,
}

impl Path {
    pub(super) fn of(text: &str) -> Self {
        let text = text.strip_prefix("$.").or_else(|| text.strip_prefix('$')).unwrap_or(text);
        Self(text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    fn find<'a>(&self, value: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(value, |value, part| match value {
            Json::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => value.get(part),
        })
    }

    /// The text or number there.
    pub(super) fn text(&self, value: &Json) -> Option<String> {
        match self.find(value)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl Flag {
    pub(super) fn is_set(&self, value: &Json) -> bool {
        match self.field.find(value) {
            None | Some(Json::Null) => false,
            Some(found) if self.values.is_empty() => *found != Json::Bool(false),
            Some(found) => self.values.contains(found),
        }
    }
}

impl Success {
    /// Reads `success` out of a call's table; problems go to it.
    pub(super) fn read(call: &mut ConfigTable, batch_size: usize) -> Option<Self> {
        const EVIDENCE: &[(&str, Evidence)] =
            &[("call", Evidence::Call), ("row", Evidence::Row), ("job", Evidence::Job)];
        const KINDS: &str = "`evidence = \"call\"`: the status settles every row of the call; \
                             `evidence = \"row\"`: the answer names the rows that it accepted; \
                             `evidence = \"job\"`: the API works on the rows later and is asked after them";
        if !call.has("success") {
            call.problems().push(
                Problem::error(
                    "missing-key",
                    format!("`[{}]` needs `success`: what proves that a row was accepted", call.path()),
                )
                .at(call.span())
                .remedy(KINDS),
            );
            return None;
        }
        let mut table = call.table("success")?;
        if !table.has("evidence") {
            table.problems().push(
                Problem::error("missing-key", format!("`{}` needs `evidence`", table.path()))
                    .at(table.span())
                    .remedy(KINDS),
            );
        }
        let evidence = table.choice("evidence", EVIDENCE);
        let statuses = read_statuses(&mut table, "statuses");
        let error = path(&mut table, "error");
        let error_code = path(&mut table, "error_code");
        let id = path(&mut table, "id");
        let ok = flag(&mut table, "ok");
        let proof = match evidence {
            None => {
                table.know(&["results", "key", "index", "in_order", "unchanged", "retry", "job"]);
                return None;
            }
            Some(Evidence::Row) => Proof::Row(Results::read(&mut table, ok, id, error.is_some())?),
            Some(Evidence::Job) => {
                let job = Job::read(&mut table).map(Box::new);
                let named = ["results", "key", "index", "in_order"].iter().any(|key| table.has(key));
                let results = if named { Some(Results::read(&mut table, ok, id, error.is_some())?) } else { None };
                Proof::Job(job?, results)
            }
            Some(_) => {
                if id.is_some() && batch_size > 1 {
                    table.problems().push(
                        Problem::error(
                            "id-of-a-batch",
                            format!("`{}` is one id for several rows", table.path_of("id")),
                        )
                        .at(table.span())
                        .remedy("use `evidence = \"row\"` with `results`, or `batch_size = 1`"),
                    );
                }
                Proof::Call { ok, id }
            }
        };
        table.finish();
        let statuses = statuses.unwrap_or_else(|| match proof {
            Proof::Call { .. } => vec![200, 201, 204],
            Proof::Row(_) => vec![200, 201, 207],
            Proof::Job(..) => vec![200, 201, 202],
        });
        Some(Self { statuses, proof, error, error_code })
    }

    /// The evidence, for the facts.
    pub(super) fn evidence(&self) -> Evidence {
        match self.proof {
            Proof::Call { .. } => Evidence::Call,
            Proof::Row(_) => Evidence::Row,
            Proof::Job(..) => Evidence::Job,
        }
    }

    /// Whether an answer tells the ids of records.
    pub(super) fn gives_ids(&self) -> bool {
        match &self.proof {
            Proof::Call { id, .. } => id.is_some(),
            Proof::Row(results) | Proof::Job(_, Some(results)) => results.id.is_some(),
            Proof::Job(_, None) => false,
        }
    }

    /// The results that an answer names rows by, where it does.
    pub(super) fn results(&self) -> Option<&Results> {
        match &self.proof {
            Proof::Row(results) => Some(results),
            Proof::Call { .. } | Proof::Job(..) => None,
        }
    }

    /// The verdicts of the rows of a job that is done or has failed.
    pub(super) fn of_job(&self, batch: &Batch, answer: &Json, done: bool) -> Result<Outcomes, Fault> {
        let Proof::Job(_, Some(results)) = &self.proof else { return Ok(unnamed(batch, done)) };
        let mut outcomes = Outcomes::of(batch);
        for (place, verdict) in self.rows(results, batch, answer).into_iter().enumerate() {
            if let Some(verdict) = verdict {
                outcomes.set_at(place, verdict)?;
            }
        }
        Ok(outcomes)
    }

    /// The text of an error, where the answer or result has one.
    fn error_text(&self, value: &Json) -> Option<String> {
        match self.error.as_ref()?.find(value)? {
            Json::Null | Json::Bool(false) => None,
            Json::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Json::Array(items) if items.is_empty() => None,
            other => Some(other.to_string()),
        }
    }

    /// Why the other side refused; `code` and `text` stand in for what is not said.
    fn reason(&self, value: &Json, code: &str, text: impl FnOnce() -> String) -> Reason {
        let said = self.error_code.as_ref().and_then(|path| path.text(value));
        let text = self.error_text(value).unwrap_or_else(text);
        Reason::new(said.unwrap_or_else(|| code.to_owned()), trimmed(&text))
    }

    /// Why a whole call was refused, in the vendor's words.
    pub(super) fn refusal(&self, status: u16, body: &[u8]) -> Reason {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        self.reason(&json, &format!("HTTP_{status}"), || String::from_utf8_lossy(body).into_owned())
    }

    /// The verdicts of the rows that the answer names; the others are `None`.
    pub(super) fn rows(&self, results: &Results, batch: &Batch, answer: &Json) -> Vec<Option<Verdict>> {
        let mut verdicts: Vec<Option<Verdict>> = vec![None; batch.rows.len()];
        let items = match results.results.find(answer) {
            Some(Json::Array(items)) => items.as_slice(),
            // A call of one row is often answered by the one result itself.
            Some(one @ Json::Object(_)) if batch.rows.len() == 1 => std::slice::from_ref(one),
            _ => return verdicts,
        };
        let places: HashMap<String, usize> = match results.naming {
            Naming::Key(_) => batch.rows.iter().enumerate().map(|(at, row)| (key::display(&row.key), at)).collect(),
            Naming::Index(_) | Naming::InOrder => HashMap::new(),
        };
        if matches!(results.naming, Naming::InOrder) && items.len() != batch.rows.len() {
            // Not the rows of this call, one by one: no place means anything.
            return verdicts;
        }
        let mut contradicted = vec![false; batch.rows.len()];
        for (at, item) in items.iter().enumerate() {
            let place = match &results.naming {
                Naming::Key(path) => path.text(item).and_then(|key| places.get(&key).copied()),
                Naming::Index(path) => path.find(item).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok()),
                Naming::InOrder => Some(at),
            };
            let Some(place) = place.filter(|place| *place < verdicts.len()) else { continue };
            let verdict = self.row(results, item);
            contradicted[place] |= verdicts[place].as_ref().is_some_and(|earlier| *earlier != verdict);
            verdicts[place] = Some(verdict);
        }
        for (verdict, contradicted) in verdicts.iter_mut().zip(contradicted) {
            if contradicted {
                *verdict = None;
            }
        }
        verdicts
    }

    fn row(&self, results: &Results, item: &Json) -> Verdict {
        let is = |flag: &Option<Flag>| flag.as_ref().is_some_and(|flag| flag.is_set(item));
        if is(&results.unchanged) {
            return Verdict::Unchanged;
        }
        if is(&results.retry) {
            return Verdict::Retry(None);
        }
        let accepted = match &results.ok {
            Some(ok) => ok.is_set(item),
            None => self.error_text(item).is_none(),
        };
        if accepted {
            Verdict::Written { remote_id: results.id.as_ref().and_then(|path| path.text(item)) }
        } else {
            Verdict::Rejected(self.reason(item, "REJECTED", || String::from("the answer does not say why")))
        }
    }
}

impl Proof {
    /// Whether the answer to a call confirms it, and the id that it gives.
    pub(super) fn confirms(ok: Option<&Flag>, id: Option<&Path>, body: &[u8]) -> Option<Option<String>> {
        if ok.is_none() && id.is_none() {
            return Some(None);
        }
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        if ok.is_some_and(|ok| !ok.is_set(&json)) {
            return None;
        }
        Some(id.and_then(|path| path.text(&json)))
    }
}

impl Results {
    fn read(table: &mut ConfigTable, ok: Option<Flag>, id: Option<Path>, has_error: bool) -> Option<Self> {
        let results = path(table, "results").unwrap_or_default();
        let unchanged = flag(table, "unchanged");
        let retry = flag(table, "retry");
        let namings = [
            path(table, "key").map(Naming::Key),
            path(table, "index").map(Naming::Index),
            table.bool("in_order").filter(|on| *on).map(|_| Naming::InOrder),
        ];
        let mut namings = namings.into_iter().flatten();
        let (first, second) = (namings.next(), namings.next());
        let Some(naming) = first.filter(|_| second.is_none()) else {
            table.problems().push(
                Problem::error("rows-unnamed", format!("`{}` must say in one way which row a result is about", table.path()))
                    .at(table.span())
                    .remedy("one of `key = \"id\"` (a member with the row's key), `index = \"index\"` (its place from 0), `in_order = true`"),
            );
            return None;
        };
        if ok.is_none() && !has_error {
            table.problems().push(
                Problem::error("rows-unjudged", format!("`{}` must say which results are good", table.path()))
                    .at(table.span())
                    .remedy("`ok = { field = \"status\", value = \"ok\" }`, or `error = \"error\"`: absent or null in a good one"),
            );
            return None;
        }
        Some(Self { results, naming, ok, unchanged, retry, id })
    }
}

pub(super) fn path(table: &mut ConfigTable, key: &str) -> Option<Path> {
    table.text(key).map(|text| Path::of(&text))
}

pub(super) fn flag(table: &mut ConfigTable, key: &str) -> Option<Flag> {
    let mut inner = table.table(key)?;
    let field = inner.required_text("field");
    let values = match inner.take("value") {
        None => Vec::new(),
        Some(item) => {
            let items = match item.kind {
                ItemKind::Array(items) => items,
                _ => vec![item],
            };
            items
                .into_iter()
                .filter_map(|item| match &item.kind {
                    ItemKind::Text(text) => Some(Json::from(text.as_str())),
                    ItemKind::Integer(n) => Some(Json::from(*n)),
                    ItemKind::Bool(b) => Some(Json::from(*b)),
                    _ => {
                        inner.wrong_type("value", "a string, an integer or a boolean", &item);
                        None
                    }
                })
                .collect()
        }
    };
    inner.finish();
    Some(Flag { field: Path::of(&field?), values })
}

/// One line of at most [`MAX_TEXT`] characters.
fn trimmed(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_TEXT * 4 {
            break;
        }
    }
    match line.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
