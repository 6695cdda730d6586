//! `[fields]` and `[mappings.NAME]`: one source, then modifiers.

use backhaul_kit::config::{ConfigTable, Item, ItemKind, Problem, Problems, Span, nearest};
use backhaul_kit::nested::Nest;
use backhaul_kit::{NullPolicy, Value, WritePolicy};

use super::project::{Country, Field, FieldSource};
use super::references;
use super::render::line_column;
use crate::transform::{Normaliser, READS_NATIONAL, Template, knows_numbers_of};

pub(super) const NULL: &[(&str, NullPolicy)] =
    &[("send", NullPolicy::Send), ("skip", NullPolicy::Skip), ("clear", NullPolicy::Clear)];
const SOURCES: [&str; 5] = ["column", "value", "template", "lookup", "ref"];

/// A field as written. `null` stays open: what it is by default depends on the sync.
#[derive(Clone, Debug)]
pub(super) struct Written {
    target: String,
    span: Span,
    rule: Rule,
}

#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// `field = false`.
    Dropped,
    /// It was not understood; a problem is reported. Kept, so that nothing else is said of its target.
    Broken,
    Set {
        source: FieldSource,
        normalise: Option<Normaliser>,
        country: Option<Box<Country>>,
        default: Option<Value>,
        null: Option<NullPolicy>,
        write: WritePolicy,
    },
}

impl Written {
    /// A field named like its column.
    pub(super) fn same_name(column: &str, span: &Span) -> Self {
        let source = FieldSource::Column(column.to_owned(), span.clone());
        let rule =
            Rule::Set { source, normalise: None, country: None, default: None, null: None, write: WritePolicy::Always };
        Self { target: column.to_owned(), span: span.clone(), rule }
    }
}

/// Reads every entry of a table of fields, in the file's order.
pub(super) fn read(table: &mut ConfigTable) -> Vec<Written> {
    let mut fields = Vec::new();
    for (target, _) in table.keys() {
        let Some((span, item)) = table.take_with_key(&target) else { continue };
        if is_dotted(&span) {
            refuse_dots(table, &target, &span, item);
            continue;
        }
        let rule = rule(table, &target, &span, item).unwrap_or(Rule::Broken);
        fields.push(Written { target, span, rule });
    }
    fields
}

/// Whether the key goes on with a dot outside of quotes (`address.city = …`, `[fields.address.city]`).
fn is_dotted(key: &Span) -> bool {
    key.file.text.get(key.range.end..).is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('.'))
}

fn refuse_dots(table: &ConfigTable, target: &str, span: &Span, item: Item) {
    let inner = match item.kind {
        ItemKind::Table(_) => table.item_table(target, item),
        _ => None,
    };
    for (key, key_span) in inner.map(|inner| inner.keys()).unwrap_or_default() {
        let whole = Span { file: span.file.clone(), range: span.range.start..key_span.range.end.max(span.range.end) };
        let modifier = MODIFIERS.into_iter().chain(SOURCES).any(|known| known == key);
        let remedy = if modifier {
            format!("`{target}` from a {key}: {target} = {{ {key} = … }}; a nested field: \"{target}.{key}\" = …")
        } else {
            format!("a nested field is one quoted path: \"{target}.{key}\" = …")
        };
        table.problems().push(
            Problem::error("unquoted-dots", format!("`{target}.{key}` is not one key: TOML makes a table of it"))
                .at(&whole)
                .label(format!("\"{target}.{key}\" in quotes"))
                .remedy(remedy),
        );
    }
}

fn rule(table: &ConfigTable, target: &str, span: &Span, item: Item) -> Option<Rule> {
    match item.kind {
        ItemKind::Text(column) => {
            let source = FieldSource::Column(column, item.span);
            Some(Rule::Set {
                source,
                normalise: None,
                country: None,
                default: None,
                null: None,
                write: WritePolicy::Always,
            })
        }
        ItemKind::Bool(false) => Some(Rule::Dropped),
        ItemKind::Table(_) => {
            let mut inner = table.item_table(target, item)?;
            if refuse_nesting(&inner, target, span) {
                return None;
            }
            let before = inner.problems().errors();
            let rule = set(&mut inner, span);
            inner.finish();
            rule.filter(|_| table.problems().errors() == before)
        }
        _ => {
            let message =
                format!("`{}` must be a column's name or a table, not {}", table.path_of(target), item.kind.name());
            table.problems().push(Problem::error("wrong-type", message).at(&item.span).remedy(format!(
                "{target} = \"column\", {target} = {{ value = … }}, or {target} = false to drop an inherited field"
            )));
            None
        }
    }
}

/// A table of columns is somebody's idea of nesting; its keys are no misspelt modifiers.
fn refuse_nesting(table: &ConfigTable, target: &str, span: &Span) -> bool {
    let keys = table.keys();
    let known = || MODIFIERS.into_iter().chain(SOURCES);
    let Some((first, _)) = keys.first().filter(|_| keys.iter().all(|(key, _)| nearest(key, known()).is_none())) else {
        return false;
    };
    table.problems().push(Problem::error("bad-field", format!("`{}` has no source", table.path())).at(span).remedy(
        format!(
            "a field needs one of {}; a nested field is a quoted path: \"{target}.{first}\" = …",
            list_of_sources()
        ),
    ));
    true
}

/// Reads the keys of a field's table; `None` where it has no single source.
pub(super) fn set(table: &mut ConfigTable, span: &Span) -> Option<Rule> {
    let problems = table.problems().clone();
    let refers = table.has("lookup") || table.has("ref");
    // Beside one of these a column says what finds the record.
    let present: Vec<&str> =
        SOURCES.into_iter().filter(|key| table.has(key) && !(refers && *key == "column")).collect();
    if present.len() != 1 {
        let found = if present.is_empty() {
            String::from("no source")
        } else {
            format!("{} sources: {}", present.len(), present.join(" and "))
        };
        problems.push(
            Problem::error("bad-field", format!("`{}` has {found}", table.path()))
                .at(span)
                .remedy(format!("a field has exactly one of {}", list_of_sources())),
        );
    }
    let reference = references::read(table, span);
    let column = table.text_at("column").map(|(column, span)| FieldSource::Column(column, span));
    let value = table.take("value").and_then(|item| constant(table, "value", &item)).map(FieldSource::Value);
    let template = table.text_at("template").and_then(|(text, span)| template(&problems, text, span));
    let normalise = table.choice_at("as", Normaliser::CHOICES);
    let country = country(table, normalise.as_ref().map(|(normaliser, _)| *normaliser));
    let default = table.take("default").and_then(|item| constant(table, "default", &item));
    let null = table.choice("null", NULL);
    let write = table.choice("write", WritePolicy::CHOICES).unwrap_or(WritePolicy::Always);
    // Asked for only where it is there, so that no hint offers it.
    let source = reference.map(FieldSource::Reference).or(column).or(value).or(template);
    if let (Some(FieldSource::Value(value)), Some((normaliser, span))) = (&source, &normalise)
        && let Err(reason) = normaliser.apply(value)
    {
        let message = format!("the constant does not fit `as = \"{}\"`: {}", normaliser.as_str(), reason.text);
        problems.push(Problem::error("bad-value", message).at(span));
    }
    Some(Rule::Set {
        source: source?,
        normalise: normalise.map(|(n, _)| n),
        country: country.map(Box::new),
        default,
        null,
        write,
    })
}

const MODIFIERS: [&str; 7] = ["as", "country", "default", "null", "write", "missing", "by"];

/// `country`, of telephone numbers: a code, or the column that has it.
fn country(table: &mut ConfigTable, normalise: Option<Normaliser>) -> Option<Country> {
    let (span, item) = table.take_with_key("country")?;
    let problems = table.problems().clone();
    let refuse = |code: &'static str, message: &str, remedy: &str| {
        problems.push(Problem::error(code, message).at(&span).remedy(remedy));
    };
    if normalise != Some(Normaliser::Phone) || table.has("value") {
        refuse(
            "contradiction",
            "`country` says where telephone numbers of a column are dialled",
            "add as = \"phone\", or take it out; a constant number has its country code, as +49 30 1234567",
        );
    } else if !READS_NATIONAL {
        let message = "this build of backhaul does not know how numbers are dialled inside of countries";
        refuse(
            "not-in-this-build",
            message,
            "use a released program, or build one: cargo build --release --features phone",
        );
    }
    match item.kind {
        ItemKind::Text(code) => {
            let code = code.trim().to_ascii_uppercase();
            if !knows_numbers_of(&code) {
                let message = "`country` is no code of a country with telephone numbers";
                refuse("bad-value", message, "two letters (ISO 3166-1 alpha-2), as \"DE\"; or { column = \"…\" }");
            }
            Some(Country::Is(code))
        }
        ItemKind::Table(_) => {
            let mut inner = table.item_table("country", item)?;
            let column = inner.required_text_at("column");
            inner.finish();
            column.map(|(column, span)| Country::Column(column, span))
        }
        _ => {
            table.wrong_type("country", "a country's code, as \"DE\", or { column = \"…\" }", &item);
            None
        }
    }
}

/// The sources in words.
fn list_of_sources() -> String {
    let [rest @ .., last] = SOURCES;
    format!("{} and {last}", rest.join(", "))
}

fn template(problems: &Problems, text: String, span: Span) -> Option<FieldSource> {
    match Template::compile(&text) {
        Ok(template) => Some(FieldSource::Template { columns: template.columns(), text, span }),
        Err(error) => {
            let line = match error.line {
                Some(line) if text.contains('\n') => format!(" (in its line {line})"),
                _ => String::new(),
            };
            problems.push(
                Problem::error("bad-template", format!("the template cannot be used: {}{line}", error.message))
                    .at(&span),
            );
            None
        }
    }
}

/// A TOML scalar or array as a value.
fn constant(table: &ConfigTable, key: &str, item: &Item) -> Option<Value> {
    let refuse = |message: String, remedy: &str| {
        table.problems().push(Problem::error("bad-value", message).at(&item.span).remedy(remedy));
        None
    };
    let path = table.path_of(key);
    Some(match &item.kind {
        ItemKind::Text(text) => Value::Text(text.clone()),
        ItemKind::Integer(n) => Value::Int(*n),
        ItemKind::Float(f) if f.is_finite() => Value::Float(*f),
        ItemKind::Float(_) => {
            return refuse(format!("`{path}` is not a number that can be sent"), "write large numbers as strings");
        }
        ItemKind::Bool(b) => Value::Bool(*b),
        ItemKind::Datetime(text) => match moment(text) {
            Some(value) => value,
            None => return refuse(format!("`{path}` is not a time of the calendar"), "write it as a string"),
        },
        ItemKind::Array(items) => {
            let values: Option<Vec<Value>> = items.iter().map(|item| constant(table, key, item)).collect();
            Value::Array(values?)
        }
        ItemKind::Table(_) => {
            return refuse(format!("`{path}` cannot be a table"), "give nested fields one by one, by quoted paths");
        }
    })
}

/// TOML's four kinds of dates and times; `None` for a day or a precision that does not exist.
fn moment(text: &str) -> Option<Value> {
    let value = Value::Text(text.to_owned());
    let exact = Normaliser::Timestamp.apply(&value);
    if text.parse::<jiff::Timestamp>().is_ok() {
        return exact.ok();
    }
    match (text.contains(':'), text.contains('-')) {
        (true, true) => match exact {
            Ok(Value::Timestamp(micros)) => Some(Value::LocalTimestamp(micros)),
            _ => None,
        },
        (true, false) => {
            let time: jiff::civil::Time = text.parse().ok()?;
            let nanos = jiff::civil::Time::midnight().duration_until(time).as_nanos();
            (nanos % 1000 == 0).then(|| i64::try_from(nanos / 1000).ok()).flatten().map(Value::Time)
        }
        (false, _) => Normaliser::Date.apply(&value).ok(),
    }
}

/// Puts mappings, `same_name` and `[fields]` together: a later field replaces an earlier one of its target.
pub(super) struct Layers<'a> {
    pub(super) inherited: Vec<&'a [Written]>,
    pub(super) same_name: &'a [Written],
    pub(super) own: &'a [Written],
}

impl Layers<'_> {
    /// The sync's fields, each once. Problems: one target given twice by the sync itself, and, where all that
    /// is inherited is known (`complete`), dropping what is not there.
    pub(super) fn merge(&self, problems: &Problems, complete: bool) -> Vec<Written> {
        let mut fields: Vec<Written> = Vec::new();
        let mut put = |field: &Written| match fields.iter_mut().find(|known| known.target == field.target) {
            Some(known) => *known = field.clone(),
            None => fields.push(field.clone()),
        };
        self.inherited.iter().copied().flatten().for_each(&mut put);
        self.same_name.iter().for_each(&mut put);
        for field in self.own {
            if let Some(twin) = self.same_name.iter().find(|same| same.target == field.target) {
                problems.push(
                    Problem::error(
                        "field-twice",
                        format!("`{}` stands in `same_name` and in `[fields]`", field.target),
                    )
                    .at(&twin.span)
                    .remedy("keep the one that is meant"),
                );
                continue;
            }
            put(field);
        }
        let inherited: Vec<&str> =
            self.inherited.iter().copied().flatten().map(|field| field.target.as_str()).collect();
        for field in self.own.iter().filter(|field| matches!(field.rule, Rule::Dropped)) {
            if complete && !inherited.contains(&field.target.as_str()) {
                let mut problem =
                    Problem::error("nothing-to-drop", format!("`{}` is not inherited from a mapping", field.target))
                        .at(&field.span)
                        .remedy("`false` drops a field that a mapping brings; take the line out");
                if let Some(near) = nearest(&field.target, inherited.iter().copied()) {
                    problem = problem.label(format!("did you mean `{near}`?"));
                }
                problems.push(problem);
            }
        }
        fields.retain(|field| !matches!(field.rule, Rule::Dropped));
        fields
    }
}

/// Reports targets that are no paths or stand in each other's way.
pub(super) fn check_targets(fields: &[Written], problems: &Problems) {
    let targets: Vec<&str> = fields.iter().map(|field| field.target.as_str()).collect();
    for error in Nest::compile(&targets).err().unwrap_or_default() {
        let problem = match error.other.map(|other| &fields[other].span) {
            Some(other) => Problem::error("conflicting-fields", error.message).remedy(format!(
                "keep one of the two; the other is in {}, line {}",
                other.file.path.display(),
                line_column(other).0
            )),
            None => Problem::error("bad-path", error.message).remedy(
                "a path is names joined by dots, one of them perhaps a list: \"address.city\", \"items[].sku\"",
            ),
        };
        problems.push(problem.at(&fields[error.target].span));
    }
}

/// The place of the one field that is mapped from a single-column key: what rows are matched by where the
/// sync does not say.
pub(super) fn mapped_from_key(fields: &[Written], key: &[(String, Span)]) -> Option<usize> {
    let [(key, _)] = key else { return None };
    let from_key = |field: &Written| matches!(&field.rule, Rule::Set { source: FieldSource::Column(column, _), .. } if column == key);
    let mut places = fields.iter().enumerate().filter(|(_, field)| from_key(field)).map(|(place, _)| place);
    let first = places.next()?;
    places.next().is_none().then_some(first)
}

/// The place of a target.
pub(super) fn place_of(fields: &[Written], target: &str) -> Option<usize> {
    fields.iter().position(|field| field.target == target)
}

/// All targets, for suggestions.
pub(super) fn targets(fields: &[Written]) -> impl Iterator<Item = &str> + Clone {
    fields.iter().map(|field| field.target.as_str())
}

/// The finished fields; `None` where one was not understood. A NULL is sent, but left out of the match field.
pub(super) fn resolve(fields: &[Written], match_field: Option<usize>) -> Option<Vec<Field>> {
    fields
        .iter()
        .enumerate()
        .map(|(place, field)| match &field.rule {
            Rule::Set { source, normalise, country, default, null, write } => {
                let usual = if match_field == Some(place) { NullPolicy::Skip } else { NullPolicy::Send };
                Some(Field {
                    target: field.target.clone(),
                    span: field.span.clone(),
                    source: source.clone(),
                    normalise: *normalise,
                    country: country.as_deref().cloned(),
                    default: default.clone(),
                    null: null.unwrap_or(usual),
                    write: *write,
                })
            }
            Rule::Dropped | Rule::Broken => None,
        })
        .collect()
}
