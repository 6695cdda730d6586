//! A person in Meta's words: the columns of a call, the form of each, and what finds the person again.

use std::collections::BTreeMap;

use backhaul_kit::normalise::person::{self, META};
use backhaul_kit::{Address, FieldRef, Reason, ValueRef};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

/// A column of a call.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    kind: Kind,
}

/// Brings a value into Meta's form.
type Form = fn(&str) -> Result<String, Reason>;

#[derive(Debug)]
enum Kind {
    /// A key that stands for one person by itself; it goes out as a hash.
    Own(Form),
    /// Likewise, but in clear.
    Clear(Form),
    /// A key that others share; it goes out as a hash.
    Shared(Form),
    /// Whether the use of the person is limited.
    Options,
    /// Under which law: a country or a state.
    Place,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// The column that makes use limited.
pub(super) const OPTIONS: &str = "DATA_PROCESSING_OPTIONS";

/// All columns.
pub(super) static COLUMNS: [Column; 18] = [
    column("EMAIL", Kind::Own(|text| META.email(text))),
    column("PHONE", Kind::Own(|text| META.phone(text))),
    column("MADID", Kind::Clear(device)),
    column("EXTERN_ID", Kind::Clear(own_id)),
    column("FN", Kind::Shared(|text| Ok(META.name(text)))),
    column("LN", Kind::Shared(|text| Ok(META.name(text)))),
    column("FI", Kind::Shared(|text| Ok(META.name(text).chars().take(1).collect()))),
    column("GEN", Kind::Shared(gender)),
    column("DOBY", Kind::Shared(|text| birth(text, 0, 1900..=2100))),
    column("DOBM", Kind::Shared(|text| birth(text, 1, 1..=12))),
    column("DOBD", Kind::Shared(|text| birth(text, 2, 1..=31))),
    column("CT", Kind::Shared(|text| Ok(person::compact(text)))),
    column("ST", Kind::Shared(|text| Ok(person::compact(text)))),
    column("ZIP", Kind::Shared(|text| Ok(postcode(text)))),
    column("COUNTRY", Kind::Shared(|text| person::country(text).map(|code| code.to_lowercase()))),
    column(OPTIONS, Kind::Options),
    column("DATA_PROCESSING_OPTIONS_COUNTRY", Kind::Place),
    column("DATA_PROCESSING_OPTIONS_STATE", Kind::Place),
];

impl Column {
    /// Whether people are matched by it.
    pub(super) fn is_key(&self) -> bool {
        !matches!(self.kind, Kind::Options | Kind::Place)
    }

    /// Whether it goes out as a hash.
    pub(super) fn is_hashed(&self) -> bool {
        matches!(self.kind, Kind::Own(_) | Kind::Shared(_))
    }

    fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own(_) | Kind::Clear(_))
    }

    /// A field's value as Meta wants it; of a key empty text where there is none. `hashed`: it is a hash already.
    ///
    /// # Errors
    /// Why Meta would not match or take it.
    pub(super) fn cell(&self, field: FieldRef<'_>, hashed: bool) -> Result<Value, Reason> {
        let value = field.value().filter(|value| !value.is_null());
        let wrong = |why: &str| Err(Reason::new("INVALID_OPTIONS", why));
        let cell = match (&self.kind, value) {
            (Kind::Own(form) | Kind::Shared(form), Some(value)) => text_of(value)
                .and_then(|text| person::sha256(&text, hashed, form))
                .map(|hash| json!(hash.unwrap_or_default())),
            (Kind::Clear(form), Some(value)) => text_of(value).and_then(|text| form(text.trim())).map(Value::String),
            (Kind::Own(_) | Kind::Shared(_) | Kind::Clear(_), None) => Ok(json!("")),
            // Whose use is not known to be free has limits.
            (Kind::Options, None | Some(ValueRef::Bool(true))) => Ok(json!(["LDU"])),
            (Kind::Options, Some(ValueRef::Bool(false) | ValueRef::Text(""))) => Ok(json!([])),
            (Kind::Options, Some(ValueRef::Text(text))) if text.eq_ignore_ascii_case("LDU") => Ok(json!(["LDU"])),
            (Kind::Options, _) => wrong("limited use is true or false, or \"LDU\" or empty text"),
            (Kind::Place, None) => Ok(json!(0)),
            (Kind::Place, Some(ValueRef::Int(code @ 0..=9999))) => Ok(json!(code)),
            (Kind::Place, _) => wrong("a country or state is one of Meta's numbers"),
        };
        cell.map_err(|reason| Reason { field: Some(self.name.to_owned()), ..reason })
    }
}

/// What is known of a person: values by the places of their keys in [`COLUMNS`].
pub(super) type Known<'a> = BTreeMap<usize, &'a str>;

/// The hashes that a person is found by: each key that stands for one person on a line of its own, which other members
/// may have too; the rest on one line. Beside such keys that begins with `&` and a digest of them: it is no other
/// member's.
///
/// # Errors
/// A person who is nobody: neither with such a key nor with a family name.
pub(super) fn lines<'a>(cells: impl Iterator<Item = (&'a Column, &'a Value)>) -> Result<String, Reason> {
    let texts = cells.filter_map(|(column, cell)| Some((place(column.name)?, cell.as_str()?)));
    let known = texts.filter(|(_, text)| !text.is_empty());
    let (own, shared): (Known<'_>, Known<'_>) = known.partition(|(place, _)| COLUMNS[*place].is_own());
    let join = |known: &Known<'_>, by| {
        let pairs: Vec<String> = known.iter().map(|(place, text)| format!("{}={text}", COLUMNS[*place].name)).collect();
        pairs.join(by)
    };
    let is_named = shared.keys().any(|place| COLUMNS[*place].name == "LN");
    let (own, shared) = (join(&own, "\n"), join(&shared, "&"));
    match (own.is_empty(), shared.is_empty()) {
        (false, true) => Ok(own),
        (false, false) => Ok(format!("{own}\n&{:016x}&{shared}", xxh3_64(own.as_bytes()))),
        (true, _) if is_named => Ok(shared),
        (true, _) => Err(Reason::new("NO_IDENTIFIER", "the row has no EMAIL, PHONE, MADID or EXTERN_ID, and no LN")),
    }
}

/// Who is to be taken out for an address, of which these [`lines`] are kept: mostly one; where it is not known which of
/// two forms was sent, both. Nobody where no key stands for the person alone.
pub(super) fn remembered<'a>(address: &'a Address, kept: &str) -> Vec<Known<'a>> {
    let (mut own, mut shared): (BTreeMap<usize, Vec<&str>>, Vec<Known<'_>>) = Default::default();
    let mut alone = false;
    for line in address.hashes().filter(|line| kept.lines().all(|kept| kept != *line)) {
        match pair(line).filter(|(place, _)| COLUMNS[*place].is_own()) {
            Some((place, value)) => own.entry(place).or_default().push(value),
            None => {
                alone |= !line.starts_with('&');
                shared.push(line.split('&').filter_map(pair).collect());
            }
        }
    }
    if own.is_empty() && !alone {
        return Vec::new();
    }
    let forms = own.values().map(Vec::len).chain([shared.len()]).max().unwrap_or(0);
    let form = |number: usize| {
        let mut known = shared.get(number).or(shared.last()).cloned().unwrap_or_default();
        known.extend(own.iter().filter_map(|(place, all)| Some((*place, *all.get(number).or(all.last())?))));
        known
    };
    (0..forms).map(form).collect()
}

fn place(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

fn pair(text: &str) -> Option<(usize, &str)> {
    text.split_once('=').and_then(|(name, value)| Some((place(name)?, value)))
}

/// A value as text. What has no plain text form is nobody's key.
fn text_of(value: ValueRef<'_>) -> Result<String, Reason> {
    use ValueRef::{Date, Decimal, Int, Text, Uuid};
    match value {
        Text(_) | Int(_) | Decimal(_) | Uuid(_) | Date(_) => Ok(value.to_text()),
        _ => Err(Reason::new("INVALID_TYPE", "only text, whole numbers, dates and UUIDs can be matched")),
    }
}

fn device(text: &str) -> Result<String, Reason> {
    let id = text.to_lowercase();
    let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    // Devices of people who opted out all have the id of zeros.
    if is_id && (id.is_empty() || id.bytes().any(|byte| !matches!(byte, b'0' | b'-'))) {
        return Ok(id);
    }
    Err(Reason::new("INVALID_MADID", "not an advertiser's id of a device, or that of devices without one"))
}

fn own_id(text: &str) -> Result<String, Reason> {
    match text.chars().any(char::is_control) {
        true => Err(Reason::new("INVALID_EXTERN_ID", "an id has no line breaks or other control characters")),
        false => Ok(text.to_owned()),
    }
}

fn gender(text: &str) -> Result<String, Reason> {
    match text.to_lowercase().as_str() {
        gender @ ("m" | "f") => Ok(gender.to_owned()),
        _ => Err(Reason::new("INVALID_GENDER", "Meta knows m and f: leave the value out for everybody else")),
    }
}

/// The year, month or day: a number, or that part of a date.
fn birth(text: &str, part: usize, range: std::ops::RangeInclusive<u16>) -> Result<String, Reason> {
    let parts: Vec<&str> = text.split('-').collect();
    let number = if parts.len() == 3 { parts.get(part) } else { Some(&text) };
    match number.and_then(|number| number.parse::<u16>().ok()).filter(|number| range.contains(number)) {
        Some(number) => Ok(format!("{number:02}")),
        None => Err(Reason::new("INVALID_BIRTH", "neither a date, as 1990-05-17, nor the number of this part of one")),
    }
}

/// White space goes; of an American ZIP+4 only the ZIP stays.
fn postcode(text: &str) -> String {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let is_number = super::account::is_number;
    match bare.split_once('-') {
        Some((zip, four)) if zip.len() == 5 && four.len() == 4 && is_number(zip) && is_number(four) => zip.to_owned(),
        _ => bare,
    }
}
