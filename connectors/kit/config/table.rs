//! A TOML table that is read key by key.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::unit::{parse_bytes, parse_duration};
use super::{Problem, Problems, SecretRef, SourceFile, Span};

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Where it stands.
    pub span: Span,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date, time or both, as written.
    Datetime(String),
    /// An array.
    Array(Vec<Item>),
    /// A table: its entries in the file's order.
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    key: String,
    key_span: Span,
    item: Item,
}

impl ItemKind {
    /// Its text, where it is a string.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The word for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Parses a file. Syntax problems go to `problems` (the first, and every duplicate key); the table holds
/// what could be read.
pub fn parse(file: &Arc<SourceFile>, problems: &Problems) -> ConfigTable {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let mut syntax_reported = false;
    for error in errors {
        let duplicate = error.message().contains("duplicate key");
        if !duplicate && std::mem::replace(&mut syntax_reported, true) {
            continue;
        }
        let (code, remedy) = if duplicate {
            ("duplicate-key", "a key stands once in its table: keep one of the two")
        } else {
            ("syntax", "if this place looks right, look before it for a quote, bracket or brace that is not closed")
        };
        let message = match error.span().and_then(|range| file.text.get(range)) {
            Some(key) if duplicate => format!("duplicate key `{key}`"),
            _ => error.message().trim_end_matches('.').to_owned(),
        };
        let place = error.span().map(|range| span(file, range));
        problems.push(Problem { span: place, ..Problem::error(code, message).masked().remedy(remedy) });
    }
    let range = table.span();
    let entries = convert_table(file, table.get_ref());
    ConfigTable::new(String::new(), span(file, range), entries, problems.clone())
}

fn span(file: &Arc<SourceFile>, range: Range<usize>) -> Span {
    Span { file: file.clone(), range }
}

fn convert_table(file: &Arc<SourceFile>, table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: span(file, key.span()),
            item: convert(file, value.get_ref(), value.span()),
        })
        .collect();
    entries.sort_by_key(|e| e.key_span.range.start);
    entries
}

fn convert(file: &Arc<SourceFile>, value: &DeValue<'_>, range: Range<usize>) -> Item {
    let kind = match value {
        DeValue::String(s) => ItemKind::Text(s.to_string()),
        DeValue::Integer(i) => i64::from_str_radix(&i.as_str().replace('_', ""), i.radix())
            .map_or_else(|_| ItemKind::Float(f64::NAN), ItemKind::Integer),
        DeValue::Float(f) => ItemKind::Float(f.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => ItemKind::Bool(*b),
        DeValue::Datetime(d) => ItemKind::Datetime(d.to_string()),
        DeValue::Array(items) => ItemKind::Array(items.iter().map(|v| convert(file, v.get_ref(), v.span())).collect()),
        DeValue::Table(table) => ItemKind::Table(convert_table(file, table)),
    };
    Item { kind, span: span(file, range) }
}

/// A table whose keys are asked for one by one.
///
/// Every getter records the key as known; [`ConfigTable::finish`] reports the rest. A getter that finds a
/// wrong type reports it and returns `None`, so that reading goes on and all problems come at once.
#[derive(Debug)]
pub struct ConfigTable {
    path: String,
    span: Span,
    entries: Vec<Entry>,
    known: Vec<String>,
    problems: Problems,
}

impl ConfigTable {
    fn new(path: String, span: Span, entries: Vec<Entry>, problems: Problems) -> Self {
        Self { path, span, entries, known: Vec::new(), problems }
    }

    /// Where the table stands.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Its path for messages (`destinations.crm`); empty for the whole file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The list that problems go to.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// The keys that nobody has asked for yet, in the file's order, with their places.
    pub fn keys(&self) -> Vec<(String, Span)> {
        self.entries.iter().map(|e| (e.key.clone(), e.key_span.clone())).collect()
    }

    /// Whether the key is there and unread. Asking makes it known.
    pub fn has(&mut self, key: &str) -> bool {
        self.note(key);
        self.entries.iter().any(|e| e.key == key)
    }

    /// Declares keys as known without reading them, so that a hint for a misspelt key can name them.
    pub fn know(&mut self, keys: &[&str]) {
        for key in keys {
            self.note(key);
        }
    }

    /// The keys known so far.
    pub fn known(&self) -> &[String] {
        &self.known
    }

    /// Takes any value.
    pub fn take(&mut self, key: &str) -> Option<Item> {
        self.take_with_key(key).map(|(_, item)| item)
    }

    /// Takes any value with the place of its key.
    pub fn take_with_key(&mut self, key: &str) -> Option<(Span, Item)> {
        self.note(key);
        let at = self.entries.iter().position(|e| e.key == key)?;
        let entry = self.entries.remove(at);
        Some((entry.key_span, entry.item))
    }

    /// Looks at a value without taking it, for keys that allow several types. Asking makes it known.
    pub fn peek(&mut self, key: &str) -> Option<&ItemKind> {
        self.note(key);
        self.entries.iter().find(|e| e.key == key).map(|e| &e.item.kind)
    }

    fn note(&mut self, key: &str) {
        if !self.known.iter().any(|k| k == key) {
            self.known.push(key.to_owned());
        }
    }

    /// The key's full path for messages.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a wrong type.
    pub fn wrong_type(&self, key: &str, expected: &str, item: &Item) {
        let found = item.kind.name();
        let message = format!("`{}` must be {expected}, not {found}", self.path_of(key));
        self.problems.push(Problem::error("wrong-type", message).at(&item.span).label(format!("expected {expected}")));
    }

    /// What `read` makes of a value; reports one of another type.
    fn typed<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&ItemKind) -> Option<T>) -> Option<(T, Span)> {
        let item = self.take(key)?;
        let found = read(&item.kind);
        if found.is_none() {
            self.wrong_type(key, expected, &item);
        }
        found.map(|found| (found, item.span))
    }

    /// What `read` makes of a value; reports one of another form.
    fn formed<T>(
        &mut self,
        key: &str,
        (code, what, remedy): (&'static str, &str, &str),
        read: impl FnOnce(&ItemKind) -> Option<T>,
    ) -> Option<(T, Span)> {
        let item = self.take(key)?;
        let found = read(&item.kind);
        if found.is_none() {
            self.problems.refuse(code, &item.span, format!("`{}` {what}", self.path_of(key)), remedy);
        }
        found.map(|found| (found, item.span))
    }

    /// An optional string, with its place.
    pub fn text_at(&mut self, key: &str) -> Option<(String, Span)> {
        self.typed(key, "a string", |kind| kind.text().map(str::to_owned))
    }

    /// An optional string.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.text_at(key).map(|(text, _)| text)
    }

    /// A required string, with its place.
    pub fn required_text_at(&mut self, key: &str) -> Option<(String, Span)> {
        self.require(key)?;
        self.text_at(key)
    }

    /// A required string.
    pub fn required_text(&mut self, key: &str) -> Option<String> {
        self.required_text_at(key).map(|(text, _)| text)
    }

    /// Reports a missing key.
    pub fn missing(&self, key: &str) {
        self.lacks(key, &format!("add `{key} = …`"));
    }

    fn lacks(&self, key: &str, remedy: &str) {
        let place = if self.path.is_empty() { String::from("this file") } else { format!("`[{}]`", self.path) };
        self.problems.refuse("missing-key", &self.span, format!("{place} needs `{key}`"), remedy);
    }

    /// Whether the key is there; reports where it is not.
    fn require(&mut self, key: &str) -> Option<()> {
        let there = self.has(key);
        if !there {
            self.missing(key);
        }
        there.then_some(())
    }

    /// An optional boolean.
    pub fn bool(&mut self, key: &str) -> Option<bool> {
        let is = |kind: &ItemKind| if let ItemKind::Bool(value) = kind { Some(*value) } else { None };
        self.typed(key, "true or false", is).map(|(value, _)| value)
    }

    /// An optional whole number of at least `min`.
    pub fn number(&mut self, key: &str, min: u64) -> Option<u64> {
        self.number_within(key, min..=u64::MAX)
    }

    /// An optional whole number within these.
    pub fn number_within(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let is = |kind: &ItemKind| if let ItemKind::Integer(n) = kind { Some(*n) } else { None };
        let (n, span) = self.typed(key, "a whole number", is)?;
        let found = u64::try_from(n).ok().filter(|n| range.contains(n));
        if found.is_none() {
            let (bound, limit) = match u64::try_from(n) {
                Ok(n) if n > *range.end() => ("most", range.end()),
                _ => ("least", range.start()),
            };
            let message = format!("`{}` must be at {bound} {limit}, not {n}", self.path_of(key));
            self.problems.push(Problem::error("out-of-range", message).at(&span));
        }
        found
    }

    /// An optional whole number from 1 to `most`, of things that go together.
    pub fn size_to(&mut self, key: &str, most: u64) -> Option<usize> {
        self.number_within(key, 1..=most).and_then(|size| usize::try_from(size).ok())
    }

    /// An optional list of strings, each with its place.
    pub fn texts_at(&mut self, key: &str) -> Option<Vec<(String, Span)>> {
        let item = self.take(key)?;
        let ItemKind::Array(items) = &item.kind else {
            self.wrong_type(key, "an array of strings", &item);
            return None;
        };
        if let Some(other) = items.iter().find(|inner| inner.kind.text().is_none()) {
            self.wrong_type(key, "an array of strings", other);
            return None;
        }
        Some(items.iter().filter_map(|inner| Some((inner.kind.text()?.to_owned(), inner.span.clone()))).collect())
    }

    /// One of a closed list of words, with its place.
    pub fn choice_at<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<(T, Span)> {
        let (text, span) = self.text_at(key)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some((*value, span));
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let near = nearest(&text, names.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
        let message = format!("`{}` cannot be \"{text}\"", self.path_of(key));
        let problem = Problem::error("unknown-choice", message).at(&span);
        self.problems.push(Problem { label: near, ..problem.remedy(format!("one of: {}", names.join(", "))) });
        None
    }

    /// One of a closed list of words, which must be given.
    pub fn required_choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        if !self.has(key) {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.lacks(key, &format!("one of: {}", words.join(", ")));
            return None;
        }
        self.choice(key, choices)
    }

    /// One of a closed list of words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.choice_at(key, choices).map(|(value, _)| value)
    }

    /// An optional duration: `"15m"`, `"6h"`, `"250ms"`, `"1h 30m"`.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        let (text, span) = self.text_at(key)?;
        let parsed = parse_duration(&text);
        if parsed.is_none() {
            let message = format!("`{}` is not a duration: \"{text}\"", self.path_of(key));
            let remedy = "a number and a unit (ms, s, m, h, d), as \"15m\" or \"1h 30m\"";
            self.problems.refuse("bad-duration", &span, message, remedy);
        }
        parsed
    }

    /// An optional size in bytes: a whole number, or `"500MB"`, `"1GiB"`.
    pub fn bytes(&mut self, key: &str) -> Option<u64> {
        self.bytes_at(key).map(|(bytes, _)| bytes)
    }

    /// [`ConfigTable::bytes`], with its place.
    pub fn bytes_at(&mut self, key: &str) -> Option<(u64, Span)> {
        let remedy = "a number of bytes, or a number and a unit (KB, MB, GB, TB, KiB, MiB, GiB, TiB), as \"1GiB\"";
        self.formed(key, ("bad-size", "is not a size", remedy), |kind| match kind {
            ItemKind::Integer(n) => u64::try_from(*n).ok(),
            kind => parse_bytes(kind.text()?),
        })
    }

    /// An optional percentage as a fraction: `"50%"` is 0.5. Above 100 % is refused.
    pub fn percent(&mut self, key: &str) -> Option<f64> {
        let what = "must be a percentage from 0% to 100%";
        let remedy = "write it as a string with a percent sign, as \"5%\"";
        let share = |kind: &ItemKind| {
            let percent = kind.text()?.strip_suffix('%')?.trim().parse::<f64>().ok()?;
            (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
        };
        self.formed(key, ("bad-percentage", what, remedy), share).map(|(share, _)| share)
    }

    /// An optional table.
    pub fn table(&mut self, key: &str) -> Option<ConfigTable> {
        let item = self.take(key)?;
        self.item_table(key, item)
    }

    /// Makes a reader of a value that must be a table (`key` is for messages).
    pub fn item_table(&self, key: &str, item: Item) -> Option<ConfigTable> {
        let ItemKind::Table(entries) = item.kind else {
            self.wrong_type(key, "a table", &item);
            return None;
        };
        Some(ConfigTable::new(self.path_of(key), item.span, entries, self.problems.clone()))
    }

    /// A table of named tables (`[warehouses.X]`): name, place of the name, reader.
    pub fn tables(&mut self, key: &str) -> Vec<(String, Span, ConfigTable)> {
        let Some(mut outer) = self.table(key) else { return Vec::new() };
        let names = outer.keys().into_iter();
        names.filter_map(|(name, span)| outer.table(&name).map(|table| (name, span, table))).collect()
    }

    /// An optional secret reference: a table with exactly one of `secret`, `env`, `file`, `credential`.
    /// Anything else is refused without being echoed.
    pub fn secret(&mut self, key: &str) -> Option<SecretRef> {
        let item = self.take(key)?;
        let refuse = |(code, what): (&'static str, &str)| {
            let remedy = "refer to it: { secret = \"name\" }, { env = \"VARIABLE\" }, { file = \"path\" } or { credential = \"name\" }";
            let problem = Problem::error(code, format!("`{}` {what}", self.path_of(key)));
            self.problems.push(problem.at(&item.span).masked().remedy(remedy));
        };
        secret_ref(&item.kind).map_err(refuse).ok()
    }

    /// A required secret reference.
    pub fn required_secret(&mut self, key: &str) -> Option<SecretRef> {
        self.require(key)?;
        self.secret(key)
    }

    /// Reports the keys that are nearly a known one: for a table whose other keys could not be asked for.
    pub fn finish_early(mut self) {
        self.entries.retain(|entry| nearest(&entry.key, self.known.iter().map(String::as_str)).is_some());
        self.finish();
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub fn finish(self) {
        for entry in &self.entries {
            let mut problem = Problem::error("unknown-key", format!("unknown key `{}`", self.path_of(&entry.key)))
                .at(&entry.key_span);
            let known = self.known.iter().map(String::as_str);
            if let Some(near) = nearest(&entry.key, known.clone()) {
                problem = problem.label(format!("did you mean `{near}`?"));
            }
            let mut names: Vec<&str> = known.collect();
            names.sort_unstable();
            if !names.is_empty() {
                problem = problem.remedy(format!("known here: {}", names.join(", ")));
            }
            self.problems.push(problem);
        }
    }
}

/// What a reference to a secret says; else the code of what is wrong with it, and what it is.
fn secret_ref(kind: &ItemKind) -> Result<SecretRef, (&'static str, &'static str)> {
    let ItemKind::Table(entries) = kind else {
        return Err(("inline-secret", "holds a secret and must not be written here"));
    };
    let unnamed = ("bad-secret", "must name one source of the secret");
    let [Entry { key, item: Item { kind: ItemKind::Text(name), .. }, .. }] = entries.as_slice() else {
        return Err(unnamed);
    };
    let is_path = name.contains('/') || name.starts_with('.');
    match key.as_str() {
        "secret" | "credential" if is_path => Err(("bad-secret", "names a secret by a path")),
        _ if name.is_empty() => Err(unnamed),
        "secret" => Ok(SecretRef::Named(name.clone())),
        "credential" => Ok(SecretRef::Credential(name.clone())),
        "env" => Ok(SecretRef::Env(name.clone())),
        "file" => Ok(SecretRef::File(name.into())),
        _ => Err(unnamed),
    }
}

/// The candidate nearest to `word`, where one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (word.chars().count().max(c.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (ConfigTable, Problems) {
        let file = Arc::new(SourceFile { path: "t.toml".into(), text: text.into() });
        let problems = Problems::default();
        (parse(&file, &problems), problems)
    }

    #[test]
    fn several_problems_come_at_once() {
        let (mut table, problems) = read("naem = 1\nevery = \"soon\"\nquota = 50\n");
        assert_eq!(table.text("name"), None);
        assert_eq!(table.duration("every"), None);
        assert_eq!(table.percent("quota"), None);
        table.finish();
        let found = problems.take();
        let codes: Vec<_> = found.iter().map(|p| p.code).collect();
        assert_eq!(codes, ["bad-duration", "bad-percentage", "unknown-key"]);
        assert_eq!(found[2].label.as_deref(), Some("did you mean `name`?"));
        assert_eq!(found[1].span.as_ref().map(|span| span.range.clone()), Some(32..34));
    }

    #[test]
    fn an_inline_secret_is_not_echoed() {
        let (mut table, problems) = read("token = \"canary-4711\"\n");
        assert_eq!(table.secret("token"), None);
        let found = problems.take();
        assert_eq!(found[0].code, "inline-secret");
        assert!(found[0].masked);
        assert!(!found[0].message.contains("canary"));
    }

    #[test]
    fn sizes() {
        let (mut table, problems) = read("a = \"1GiB\"\nb = 4096\nc = \"500 MB\"\nd = \"1G\"\ne = -1\n");
        let sizes: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|key| table.bytes(key)).collect();
        assert_eq!(sizes, [Some(1 << 30), Some(4096), Some(500_000_000), None, None]);
        assert_eq!(problems.take().len(), 2);
    }

    #[test]
    fn a_broken_file_gives_one_syntax_problem() {
        let (_, problems) = read("a = \nb = ]\nc = {\n");
        let found = problems.take();
        assert_eq!(found.iter().filter(|p| p.code == "syntax").count(), 1);
    }
}
