//! JSON lines: one object a line, and every object with the same members. The first line of a file says which; a member
//! that is missing is not taken for NULL, because it could as well have been renamed.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::{Column, Fault, Projection, TypeClass, Value};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::sound;
use super::super::value_page::{Layout, ValuePage};
use super::listing::unreadable;
use super::scan::{Emit, malformed};
use crate::csv::MAX_ROW;

/// How much is read at a time.
const READ_BYTES: usize = 128 << 10;

/// The members of the first line.
///
/// # Errors
/// `Transient` where the file cannot be read, or has no line.
pub(super) fn columns(file: File, path: &Path) -> Result<Vec<Column>, Fault> {
    let names = Lines::open(file, path).names()?;
    // Values have their own types.
    let column = |name: String| Column { name, class: TypeClass::Any, native: String::from("json") };
    Ok(names.into_iter().map(column).collect())
}

/// Hands over all rows; returns how many.
///
/// # Errors
/// A line is no such object, or the last one is cut; what `emit` says.
pub(super) fn read(file: File, path: &Path, projection: &Projection, emit: &mut Emit<'_>) -> Result<u64, Fault> {
    let mut lines = Lines::open(file, path);
    let names = lines.names()?;
    if !projection.columns.iter().all(|column| names.contains(column)) {
        return Err(malformed(path, "has other members than before"));
    }
    let members = Members::new(&names, projection);
    let layout = Arc::new(Layout::of(projection.clone()));
    let mut page = ValuePage::new(layout.clone());
    let mut count = 0;
    // The first line was read for its names.
    let mut more = true;
    while more {
        page.push(&lines.row(&members)?)?;
        count += 1;
        more = lines.next()?;
        if page.is_full() || !more {
            emit(Box::new(std::mem::replace(&mut page, ValuePage::new(layout.clone()))))?;
        }
    }
    Ok(count)
}

/// The lines of a file, with their places for messages.
struct Lines<'p> {
    input: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    path: &'p Path,
}

impl<'p> Lines<'p> {
    fn open(file: File, path: &'p Path) -> Self {
        Self { input: BufReader::with_capacity(READ_BYTES, file), line: Vec::new(), number: 0, path }
    }

    fn next(&mut self) -> Result<bool, Fault> {
        self.line.clear();
        let mut input = (&mut self.input).take(MAX_ROW as u64 + 1);
        input.read_until(b'\n', &mut self.line).map_err(|e| unreadable(self.path, &e))?;
        self.number += 1;
        match self.line.last() {
            None => Ok(false),
            Some(b'\n') => Ok(true),
            Some(_) if self.line.len() > MAX_ROW => Err(self.malformed("is longer than 16 MiB")),
            Some(_) => Err(self.malformed("is not ended")),
        }
    }

    /// Reads the first line, for the names of its members.
    fn names(&mut self) -> Result<Vec<String>, Fault> {
        if !self.next()? {
            return Err(malformed(self.path, "is empty: only a first line says which columns there are"));
        }
        let mut names = Vec::new();
        self.object(&mut |name, _| {
            names.push(name.to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    /// The projected values of the line.
    fn row(&self, members: &Members) -> Result<Vec<Value>, Fault> {
        let mut seen = vec![false; members.places.len()];
        let mut values = vec![Value::Null; members.projected];
        self.object(&mut |name, raw| {
            let Some((member, place)) = members.places.get(name) else {
                return Err(format!("has a member `{name}`, which the first line has not"));
            };
            if std::mem::replace(&mut seen[*member], true) {
                return Err(format!("has `{name}` twice"));
            }
            if let Some(place) = place {
                values[*place] = value(raw).ok_or_else(|| format!("`{name}` is not Unicode text"))?;
            }
            Ok(())
        })?;
        match seen.iter().position(|seen| !seen) {
            None => Ok(values),
            Some(missing) => {
                let name = members.places.iter().find(|(_, (member, _))| *member == missing).map(|(name, _)| name);
                Err(self.refuse(format!("has no member `{}`", name.map_or("", String::as_str))))
            }
        }
    }

    /// Hands over the members of the line's object. The text of the parser's own errors may have values in it.
    fn object(&self, each: &mut dyn FnMut(&str, &str) -> Result<(), String>) -> Result<(), Fault> {
        let text = std::str::from_utf8(&self.line).map_err(|_| self.malformed("is not UTF-8"))?;
        let mut refused = None;
        let mut parser = serde_json::Deserializer::from_str(text);
        let visited = parser.deserialize_map(Object { each, refused: &mut refused }).and_then(|()| parser.end());
        visited.map_err(|e| match refused {
            Some(what) => self.refuse(what),
            None if e.is_data() => self.malformed("is not a JSON object"),
            None => self.malformed(format!("is not JSON from column {} on", e.column())),
        })
    }

    fn malformed(&self, what: impl fmt::Display) -> Fault {
        malformed(self.path, format!("line {} {what}", self.number))
    }

    /// A sound line that is no row of the model.
    fn refuse(&self, what: impl fmt::Display) -> Fault {
        Fault::config(format!("{}: line {} {what}", self.path.display(), self.number))
            .remedy("every line has the members of the first one: have null written where there is no value")
    }
}

/// The members that every line has, and where the projected ones go.
struct Members {
    /// Number of the member, place in the projection.
    places: HashMap<String, (usize, Option<usize>)>,
    projected: usize,
}

impl Members {
    fn new(names: &[String], projection: &Projection) -> Self {
        let place = |name: &String| projection.columns.iter().position(|column| column == name);
        let places = names.iter().enumerate().map(|(member, name)| (name.clone(), (member, place(name)))).collect();
        Self { places, projected: projection.columns.len() }
    }
}

/// Reads an object member by member: name, and value as it is written.
struct Object<'a> {
    each: &'a mut dyn FnMut(&str, &str) -> Result<(), String>,
    refused: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut name = String::new();
        while map.next_key_seed(Name(&mut name))?.is_some() {
            let raw: &RawValue = map.next_value()?;
            if let Err(what) = (self.each)(&name, raw.get()) {
                *self.refused = Some(what);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// Reads a member's name into a text that is used again.
struct Name<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(name);
        Ok(())
    }
}

/// The value of a sound JSON text; `None` where a string is no Unicode (half of a surrogate pair).
fn value(raw: &str) -> Option<Value> {
    match raw.as_bytes().first()? {
        // Elements that are lists or objects themselves stay as they are written.
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            let nested = |raw: &str| raw.starts_with(['[', '{']);
            let item = |raw: &str| if nested(raw) { Some(Value::Json(raw.to_owned())) } else { value(raw) };
            items.iter().map(|item_raw| item(item_raw.get())).collect::<Option<_>>().map(Value::Array)
        }
        b'{' => Some(Value::Json(raw.to_owned())),
        b'"' => serde_json::from_str(raw).ok().map(Value::Text),
        b'n' => Some(Value::Null),
        b't' => Some(Value::Bool(true)),
        b'f' => Some(Value::Bool(false)),
        _ => Some(number(raw)),
    }
}

/// Whole numbers that fit are integers; others keep their digits, but for those in exponential notation.
fn number(raw: &str) -> Value {
    match raw.parse() {
        Ok(whole) => Value::Int(whole),
        Err(_) if raw.contains(['e', 'E']) => raw.parse().map_or_else(|_| Value::Number(raw.to_owned()), sound::double),
        Err(_) => Value::Number(raw.to_owned()),
    }
}
