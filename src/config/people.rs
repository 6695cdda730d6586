//! People: who may be sent. `[suppression.X]` and `[holdouts.X]` of `backhaul.toml`; `suppress`, `holdout`, `[consent]`
//! and `on_ineligible` of a sync.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Problems, Span};
use backhaul_kit::{Mode, Removed};
use jiff::civil::Date;

use super::guards::{self, Threshold};
use super::project::{DiffPlace, ModelDef};
use super::root::Root;
use super::{checks, into, names};

/// `on_ineligible` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ineligible {
    Freeze,
    /// As `removed` says.
    Remove,
    /// In this way, although rows that left the model stay.
    By(Removed),
}

/// The values of `on_ineligible`.
pub(super) const ON_INELIGIBLE: &[(&str, Ineligible)] = &[
    ("freeze", Ineligible::Freeze),
    ("remove", Ineligible::Remove),
    ("archive", Ineligible::By(Removed::Archive)),
    ("delete", Ineligible::By(Removed::Delete)),
    ("clear", Ineligible::By(Removed::Clear)),
];

/// A list mostly grows: a tenth less, and more than 20 rows less, is not taken for what it is.
const DEFAULT_MAX_SHRINK: Threshold = Threshold::Percent { fraction: 0.1, beyond: 20 };

/// Who of a model may be sent.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// `suppress`: nobody on one of these lists.
    pub suppress: Vec<Suppression>,
    /// `holdout`: nobody whom it holds out.
    pub holdout: Option<Holdout>,
    /// `[consent]`: nobody who did not give it.
    pub consent: Consent,
    /// What becomes of a record that was delivered and whose row may no longer be sent.
    pub on_ineligible: OnIneligible,
}

/// `[suppression.X]`: people who are not sent.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Its name.
    pub name: String,
    /// The model whose rows are on it.
    pub model: Arc<ModelDef>,
    /// What is compared; one pair that is equal suffices.
    pub on: Vec<Pair>,
    /// How many rows it may lose from one run to the next; default 10 % beyond 20.
    pub max_shrink: Threshold,
}

/// A column of a list, and the column of a sync's model that is compared with it.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The list's column.
    pub listed: String,
    /// The column of the models that are sent.
    pub sent: String,
    /// Where the list's column stands.
    pub listed_span: Span,
    /// Where the other stands.
    pub span: Span,
}

/// `[holdouts.X]`: a share of the people who are not sent, to compare them with the others.
#[derive(Clone, Debug)]
pub struct Holdout {
    /// Its name.
    pub name: String,
    /// The share, as a fraction.
    pub fraction: f64,
    /// The column whose value decides.
    pub by: String,
    /// Where that stands.
    pub span: Span,
    /// What its people are drawn with: another salt, other people.
    pub salt: String,
    /// The last day (UTC) on which it holds anybody out.
    pub until: Option<Date>,
}

/// `[consent]`.
#[derive(Clone, Debug, Default)]
pub enum Consent {
    /// There is no such table.
    #[default]
    Unasked,
    /// `none`: it is not asked for, for this reason.
    Waived(String),
    /// Each of these must have been given.
    Signals(Vec<Signal>),
}

/// One signal of consent.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Its name, as the destination calls it.
    pub name: String,
    /// The column that has it.
    pub column: String,
    /// Where that stands.
    pub span: Span,
    /// The values that mean yes, as text. NULL never does.
    pub granted: BTreeSet<String>,
}

/// `on_ineligible`: what becomes of a record that was delivered and whose row may no longer be sent. Audiences and full
/// files always remove it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnIneligible {
    /// It stays as it is: neither updated nor removed.
    #[default]
    Freeze,
    /// It is removed, as `removed` says or in a way of its own.
    Remove,
}

impl People {
    /// Whether any row may be kept from being sent.
    pub fn decide(&self) -> bool {
        !self.suppress.is_empty() || self.holdout.is_some() || matches!(self.consent, Consent::Signals(_))
    }

    /// The signals that are asked for.
    pub fn signals(&self) -> &[Signal] {
        match &self.consent {
            Consent::Signals(signals) => signals,
            Consent::Unasked | Consent::Waived(_) => &[],
        }
    }

    /// The columns whose values are compared or hashed, each with its place.
    pub fn identifying(&self) -> impl Iterator<Item = (&str, &Span)> {
        let listed = self.suppress.iter().flat_map(|list| &list.on).map(|pair| (pair.sent.as_str(), &pair.span));
        listed.chain(self.holdout.iter().map(|holdout| (holdout.by.as_str(), &holdout.span)))
    }
}

/// `[suppression.X]` as written.
pub(super) struct WrittenList {
    model: Option<(String, Span)>,
    on: Vec<Pair>,
    max_shrink: Threshold,
}

/// Reads the keys of a suppression list.
pub(super) fn read_list(table: &mut ConfigTable) -> WrittenList {
    let model = table.required_text_at("model");
    if !table.has("on") {
        table.missing("on");
    }
    let mut on = Vec::new();
    if let Some(mut pairs) = table.table("on") {
        let columns = pairs.keys();
        if columns.is_empty() {
            pairs.problems().push(
                Problem::error("no-columns", format!("`{}` compares nothing", pairs.path()))
                    .at(pairs.span())
                    .remedy("a column of the list = the column of the models that are sent, as { email = \"email\" }"),
            );
        }
        for (listed, listed_span) in columns {
            let sent = pairs.text_at(&listed);
            on.extend(sent.map(|(sent, span)| Pair { listed, sent, listed_span, span }));
        }
        pairs.finish();
    }
    let max_shrink = guards::threshold(table, "max_shrink").unwrap_or(DEFAULT_MAX_SHRINK);
    WrittenList { model, on, max_shrink }
}

/// Reads the keys of a holdout.
pub(super) fn read_holdout(table: &mut ConfigTable, name: &str) -> Option<Holdout> {
    if !table.has("percent") {
        table.missing("percent");
    }
    let fraction = table.percent("percent");
    let by = table.required_text_at("by");
    let salt = table.required_text_at("salt");
    if let Some((_, span)) = salt.as_ref().filter(|(salt, _)| salt.trim().is_empty()) {
        let problem = Problem::error("empty-text", format!("`{}` is empty", table.path_of("salt"))).at(span);
        table.problems().push(problem.remedy("any text of its own, as \"always-on-2026\": it decides who is drawn"));
    }
    let until = date(table, "until");
    let (by, span) = by?;
    Some(Holdout { name: name.to_owned(), fraction: fraction?, by, span, salt: salt?.0, until })
}

/// An optional date without a time.
fn date(table: &mut ConfigTable, key: &str) -> Option<Date> {
    let item = table.take(key)?;
    let date = match &item.kind {
        ItemKind::Datetime(text) | ItemKind::Text(text) => text.parse().ok().filter(|_| text.len() == 10),
        _ => None,
    };
    if date.is_none() {
        table.problems().push(
            Problem::error("bad-date", format!("`{}` must be a date", table.path_of(key)))
                .at(&item.span)
                .remedy("the last day, as 2027-03-31"),
        );
    }
    date
}

/// Refuses lists of models that are not there.
pub(super) fn check_lists(
    lists: &BTreeMap<String, WrittenList>,
    models: &BTreeMap<String, Option<Arc<ModelDef>>>,
    problems: &Problems,
) {
    for (model, span) in lists.values().filter_map(|list| list.model.as_ref()) {
        if !models.contains_key(model) {
            let known = models.keys().map(String::as_str);
            problems.push(names::unknown("unknown-model", "model", model, span, known));
        }
    }
}

/// What a sync says of people.
pub(super) struct Written {
    suppress: Vec<(String, Span)>,
    holdout: Option<(String, Span)>,
    consent: Consent,
    consent_span: Option<Span>,
    on_ineligible: Option<(Ineligible, Span)>,
}

/// Reads a sync's keys.
pub(super) fn read(table: &mut ConfigTable) -> Written {
    let suppress = table.texts_at("suppress").unwrap_or_default();
    for (at, (name, span)) in suppress.iter().enumerate() {
        if suppress[..at].iter().any(|(known, _)| known == name) {
            let problem = Problem::error("list-twice", format!("`suppress` names \"{name}\" twice"));
            table.problems().push(problem.at(span));
        }
    }
    let holdout = table.text_at("holdout");
    let inner = table.table("consent");
    let consent_span = inner.as_ref().map(|inner| inner.span().clone());
    let consent = inner.map(consent).unwrap_or_default();
    let on_ineligible = table.choice_at("on_ineligible", ON_INELIGIBLE);
    Written { suppress, holdout, consent, consent_span, on_ineligible }
}

fn consent(mut table: ConfigTable) -> Consent {
    let none = table.text_at("none");
    let mut signals = Vec::new();
    for (name, _) in table.keys() {
        let Some(mut inner) = table.table(&name) else { continue };
        let column = inner.required_text_at("column");
        if !inner.has("granted") {
            inner.missing("granted");
        }
        let granted = checks::values(
            &mut inner,
            "granted",
            "name the values that mean yes, as [\"granted\"] or [true]; NULL and all others mean no",
        );
        inner.finish();
        if let (Some((column, span)), Some(granted)) = (column, granted) {
            signals.push(Signal { name, column, span, granted });
        }
    }
    let say = |problem: Problem| table.problems().push(problem);
    match none {
        Some((_, span)) if !signals.is_empty() => say(Problem::error(
            "contradiction",
            "`none` says that consent is not asked for, and signals of it are named beside it",
        )
        .at(&span)
        .remedy("take `none` out, or the signals")),
        Some((reason, span)) if reason.trim().is_empty() => {
            say(Problem::error("empty-text", "`consent.none` is empty")
                .at(&span)
                .remedy("say why consent is not asked for: it is kept with every run"));
        }
        Some((reason, _)) => return Consent::Waived(reason),
        None if signals.is_empty() && table.problems().errors() == 0 => {
            say(Problem::error("no-consent", "`[consent]` names no signal").at(table.span()).remedy(
                "as ad_user_data = { column = \"consent_ads\", granted = [\"granted\"] }; or none = \"the reason\"",
            ));
        }
        None => {}
    }
    Consent::Signals(signals)
}

impl Written {
    /// How records of people who may not be sent are removed where rows that left the model stay.
    pub(super) fn removal(&self) -> Option<(Removed, Span)> {
        match &self.on_ineligible {
            Some((Ineligible::By(how), span)) => Some((*how, span.clone())),
            _ => None,
        }
    }

    /// The names of the signals of consent.
    pub(super) fn signals(&self) -> Vec<String> {
        match &self.consent {
            Consent::Signals(signals) => signals.iter().map(|signal| signal.name.clone()).collect(),
            Consent::Unasked | Consent::Waived(_) => Vec::new(),
        }
    }

    /// Finds what is named, and holds it against what the sync writes. What is not there is a problem; what has problems
    /// of its own is left out.
    pub(super) fn resolve(
        self,
        table: &ConfigTable,
        root: &Root,
        models: &BTreeMap<String, Option<Arc<ModelDef>>>,
        target: Option<&into::Target>,
        diff: DiffPlace,
    ) -> People {
        let first = [self.suppress.first().map(|(_, span)| span), self.holdout.as_ref().map(|(_, span)| span)];
        let first = first.into_iter().flatten().chain(&self.consent_span).next().cloned();
        let mut people = People {
            suppress: self.lists(table.problems(), root, models),
            holdout: self.holdout(table.problems(), root),
            consent: self.consent,
            on_ineligible: OnIneligible::default(),
        };
        let problems = table.problems();
        if let (DiffPlace::Warehouse, Some(span), true) = (diff, &first, people.decide()) {
            let message = "who may be sent is decided here, for every row of the model, in a form of its values that the \
                           warehouse cannot compute; with `diff = \"warehouse\"` unchanged rows stay there";
            let remedy = "take `diff` out; or leave those who may not be sent out of the model, with `where` for \
                          example: they then count as rows that left it, for `removed` and its guards";
            problems.push(Problem::error("no-warehouse-people", message).at(span).remedy(remedy));
        }
        if let Some((_, span)) = self.on_ineligible.as_ref().filter(|_| first.is_none()) {
            let message = "`on_ineligible` is about people who may not be sent, and nothing says who they are";
            let remedy = "add `suppress`, `holdout` or [consent], or take it out";
            problems.push(Problem::error("nothing-to-decide", message).at(span).remedy(remedy));
        }
        if let Some(target) = target {
            let place = self.consent_span.as_ref().unwrap_or(&target.shape.span);
            check_consent(&people.consent, target, place, problems);
            people.on_ineligible = on_ineligible(self.on_ineligible, target, problems);
        }
        people
    }

    fn lists(
        &self,
        problems: &Problems,
        root: &Root,
        models: &BTreeMap<String, Option<Arc<ModelDef>>>,
    ) -> Vec<Suppression> {
        let mut lists = Vec::new();
        for (name, span) in &self.suppress {
            let Some(list) = root.suppression.get(name) else {
                let known = root.suppression.keys().map(String::as_str);
                problems.push(names::unknown("unknown-list", "suppression list", name, span, known));
                continue;
            };
            let model = list.model.as_ref().and_then(|(model, _)| models.get(model)?.clone());
            let (on, max_shrink) = (list.on.clone(), list.max_shrink);
            lists.extend(model.map(|model| Suppression { name: name.clone(), model, on, max_shrink }));
        }
        lists
    }

    fn holdout(&self, problems: &Problems, root: &Root) -> Option<Holdout> {
        let (name, span) = self.holdout.as_ref()?;
        let found = root.holdouts.get(name);
        if found.is_none() {
            let known = root.holdouts.keys().map(String::as_str);
            problems.push(names::unknown("unknown-holdout", "holdout", name, span, known));
        }
        found.cloned().flatten()
    }
}

/// The signals that the destination demands must be asked for, or knowingly not.
fn check_consent(consent: &Consent, target: &into::Target, place: &Span, problems: &Problems) {
    let demanded = target.write_facts().consent;
    let lacks = |name: &&&str| match consent {
        Consent::Waived(_) => false,
        Consent::Unasked => true,
        Consent::Signals(signals) => !signals.iter().any(|signal| signal.name == **name),
    };
    let missing: Vec<&str> = demanded.iter().filter(lacks).copied().collect();
    let Some(first) = missing.first() else { return };
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    problems.push(
        Problem::error("consent-missing", format!("this destination demands the consent of each person: {}", names.join(", ")))
            .at(place)
            .remedy(format!(
                "under [consent]: {first} = {{ column = \"…\", granted = [\"granted\"] }}; or none = \"the reason\" why it is not asked for"
            )),
    );
}

/// What becomes of records whose rows may no longer be sent.
fn on_ineligible(written: Option<(Ineligible, Span)>, target: &into::Target, problems: &Problems) -> OnIneligible {
    let always = if target.shape.mode.0 == Mode::Audience {
        Some("an audience")
    } else {
        target.write_facts().whole_set.then_some("a destination that takes the whole set at once")
    };
    let refuse = |code: &'static str, message: String, span: &Span, remedy: &str| {
        problems.push(Problem::error(code, message).at(span).remedy(remedy));
    };
    let removed = target.shape.removed.0;
    match (written, always) {
        (Some((Ineligible::Freeze, span)), Some(what)) => {
            let message = format!("{what} keeps nobody who may not be sent");
            refuse("contradiction", message, &span, "take `on_ineligible` out");
        }
        (Some((Ineligible::By(_), span)), Some(what)) => {
            let message = format!("{what} has one way of removal");
            refuse("contradiction", message, &span, "take `on_ineligible` out: they are removed always");
        }
        (Some((Ineligible::By(how), span)), None) if how != removed => {
            let message = format!(
                "rows that left the model are removed by \"{}\", and a sync has one way of removal",
                removed.as_str()
            );
            refuse("contradiction", message, &span, "on_ineligible = \"remove\": it is done as `removed` says");
        }
        (Some((Ineligible::Remove, span)), None) if removed == Removed::Ignore => {
            let message = "`on_ineligible = \"remove\"` removes records as `removed` says, and that is \"ignore\"";
            let remedy = "say how they are removed, as on_ineligible = \"archive\", \"delete\" or \"clear\"; or in [into] \
                          `removed`, for rows that left the model, too";
            refuse("no-removal", String::from(message), &span, remedy);
        }
        (Some((Ineligible::Freeze, _)) | None, None) => return OnIneligible::Freeze,
        (Some((Ineligible::Remove | Ineligible::By(_), _)), None) | (Some((Ineligible::Remove, _)) | None, Some(_)) => {
        }
    }
    OnIneligible::Remove
}
