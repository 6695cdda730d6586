//! `incremental` of a model that grows, and `refresh_after` of a sync: which rows a scan brings, and which of them are
//! sent. A scan of a part shows nothing of what left the model, so what needs that is refused.

use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Span};
use backhaul_kit::{Facts, Mode, Removed, SyncShape};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::project::{DiffPlace, ModelDef};

/// How far a scan looks back behind the newest row where the model does not say: late rows are the rule.
const DEFAULT_LOOKBACK: Duration = Duration::from_secs(3600);
const BEGIN: &str = "a date or a time, as begin = 2026-11-01, or \"all\" or \"now\"";

/// `incremental`: the model's rows come with a time, and a scan asks for the new ones only.
#[derive(Clone, Debug)]
pub struct Incremental {
    /// The column that says when a row came.
    pub column: String,
    /// So far behind the newest row that was delivered a scan begins; default 1 h.
    pub lookback: Duration,
    /// Where the first scan begins.
    pub begin: Begin,
    /// Where it stands.
    pub span: Span,
}

/// Where the first scan of a growing model begins. Earlier rows are never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With all rows.
    All,
    /// With those that come after the first run.
    Now,
    /// With those since then.
    At(Timestamp),
}

/// `[into] changed`: what a sync that appends does with an accepted row that has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// It is left alone.
    Ignore,
    /// It is sent again.
    Send,
}

/// The values of `changed`.
pub(super) const CHANGED: &[(&str, Changed)] = &[("ignore", Changed::Ignore), ("send", Changed::Send)];

/// Reads `incremental` of a model; its column, with its place, goes to `mentioned`.
pub(super) fn read(model: &mut ConfigTable, mentioned: &mut Vec<(String, Span)>) -> Option<Incremental> {
    let (span, item) = model.take_with_key("incremental")?;
    let mut table = model.item_table("incremental", item)?;
    let incremental = read_keys(&mut table, span, mentioned);
    table.finish();
    incremental
}

/// Reads the keys of the table.
pub(super) fn read_keys(
    table: &mut ConfigTable,
    span: Span,
    mentioned: &mut Vec<(String, Span)>,
) -> Option<Incremental> {
    let column = table.required_text_at("column");
    let lookback = table.duration("lookback").unwrap_or(DEFAULT_LOOKBACK);
    let begin = begin(table);
    let (column, place) = column?;
    mentioned.push((column.clone(), place));
    Some(Incremental { column, lookback, begin: begin?, span })
}

fn begin(table: &mut ConfigTable) -> Option<Begin> {
    let Some(item) = table.take("begin") else {
        let message = "`incremental` needs `begin`: which rows are there to be sent at all";
        table.problems().push(Problem::error("missing-key", message).at(table.span()).remedy(BEGIN));
        return None;
    };
    let begin = match &item.kind {
        ItemKind::Text(word) if word == "all" => Some(Begin::All),
        ItemKind::Text(word) if word == "now" => Some(Begin::Now),
        ItemKind::Datetime(text) => moment(text).map(Begin::At),
        _ => None,
    };
    if begin.is_none() {
        let message = "`incremental.begin` is no date, no time, and neither \"all\" nor \"now\"";
        table.problems().push(Problem::error("bad-begin", message).at(&item.span).remedy(BEGIN));
    }
    begin
}

/// A TOML date or date-time; without a zone it is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<Timestamp>();
    zoned.or_else(|_| text.parse::<DateTime>()?.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())).ok()
}

/// What a sync has that goes with whole models only.
pub(super) struct Wanted<'a> {
    pub(super) shape: &'a SyncShape,
    /// Whether rows that left the model are removed.
    pub(super) removes_left: bool,
    pub(super) facts: &'a Facts,
    /// `diff`, with its place.
    pub(super) diff: Option<&'a (DiffPlace, Span)>,
    /// `refresh_after`, with its place.
    pub(super) refresh_after: Option<&'a (Duration, Span)>,
    /// The sync's own `[guards]`, where they have `min_rows`.
    pub(super) min_rows: Option<&'a Span>,
}

impl Wanted<'_> {
    /// The problems of the sync with a model that grows, or with sending rows again.
    pub(super) fn problems(&self, model: &ModelDef) -> Vec<Problem> {
        let mut problems = Vec::new();
        if model.incremental.is_some() {
            self.of_growth(model, &mut problems);
        } else if let Some((_, span)) = self.refresh_after {
            self.of_refresh(span, &mut problems);
        }
        problems.extend(self.of_expiry());
        problems
    }

    /// Where the destination forgets what is not sent again in time.
    fn of_expiry(&self) -> Option<Problem> {
        let expires = self.facts.expires?;
        let (place, after) = self.refresh_after.map_or((&self.shape.span, None), |(after, span)| (span, Some(*after)));
        if after.is_some_and(|after| after < expires) {
            return None;
        }
        let days = expires.as_secs() / 86_400;
        let message = format!("what was sent is gone from this destination after {days} days, though its row stays");
        let remedy = format!("have unchanged rows sent again before: refresh_after = \"{}d\"", days * 12 / 13);
        Some(Problem::warning("expires", message).at(place).remedy(remedy))
    }

    fn of_growth(&self, model: &ModelDef, problems: &mut Vec<Problem>) {
        let mut refuse = |code: &'static str, what: String, span: &Span, remedy: &str| {
            let message =
                format!("{what}, and a scan of model \"{}\" (`incremental`) brings its new rows only", model.name);
            problems.push(Problem::error(code, message).at(span).remedy(remedy));
        };
        let whole = "take it out, or give the sync a model without `incremental`";
        let ((mode, mode_span), (removed, removed_span)) = (&self.shape.mode, &self.shape.removed);
        if *mode == Mode::Audience {
            let what = String::from("an audience removes what left the model");
            refuse("incremental-removal", what, mode_span, "give the sync a model without `incremental`");
        } else if *removed != Removed::Ignore {
            let what = match self.removes_left {
                true => format!("`removed = \"{}\"` is about rows that left the model", removed.as_str()),
                false => String::from("people are removed by `on_ineligible` whenever they may not be sent"),
            };
            refuse("incremental-removal", what, removed_span, whole);
        } else if self.facts.whole_set {
            let what = String::from("this destination writes the whole set at once");
            refuse("incremental-removal", what, mode_span, "give the sync a model without `incremental`");
        }
        if let Some((DiffPlace::Warehouse, span)) = self.diff {
            let what = String::from("`diff = \"warehouse\"` compares all rows of a model");
            refuse("incremental-diff", what, span, "take `diff` out: new rows are compared here");
        }
        if let Some(span) = self.min_rows {
            let what = String::from("`min_rows` counts the rows of a whole model");
            refuse("incremental-guard", what, span, whole);
        }
        if let Some((_, span)) = self.refresh_after {
            let what = String::from("`refresh_after` sends old rows again");
            refuse("incremental-refresh", what, span, whole);
        }
    }

    fn of_refresh(&self, span: &Span, problems: &mut Vec<Problem>) {
        let why = match self.shape.mode.0 {
            Mode::Append => "what is appended again is there twice",
            _ if self.facts.whole_set => "this destination writes the whole set in every run anyway",
            _ if matches!(self.diff, Some((DiffPlace::Warehouse, _))) => {
                "with `diff = \"warehouse\"` unchanged rows stay in the warehouse"
            }
            _ => return,
        };
        problems.push(
            Problem::error("no-refresh", format!("`refresh_after` does not go with this sync: {why}"))
                .at(span)
                .remedy("take it out"),
        );
    }
}

/// `refresh_after`, with its place.
pub(super) fn refresh_after(table: &mut ConfigTable) -> Option<(Duration, Span)> {
    let place = table.keys().into_iter().find(|(key, _)| key == "refresh_after").map(|(_, place)| place);
    table.duration("refresh_after").zip(place)
}

/// `[into] changed`: whether an accepted row is left alone although it has changed.
pub(super) fn ignores_changed(
    changed: Option<&(Changed, Span)>,
    mode: Mode,
    model: &ModelDef,
    into: &ConfigTable,
) -> bool {
    match changed {
        Some((_, span)) if mode != Mode::Append => {
            into.problems().push(
                Problem::error("contradiction", "`changed` is about what is appended, and this mode writes rows over")
                    .at(span)
                    .remedy("take it out"),
            );
            false
        }
        Some((changed, _)) => *changed == Changed::Ignore,
        None => mode == Mode::Append && model.incremental.is_some(),
    }
}
