//! A person in Meta's words: the columns of a call, the form of each, and what finds the person again.

use std::collections::BTreeMap;

use backhaul_kit::normalise::person::{self, META};
use backhaul_kit::{Address, FieldRef, Reason, ValueRef};
use xxhash_rust::xxh3::xxh3_64;

/// A column of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// A key; whether its values come as hashes.
    Key(&'static Key, bool),
    /// Whether Meta may use the person without limits, and under which law.
    Options,
    Place,
}

/// A key by which Meta matches people.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Whether it stands for one person by itself.
    is_own: bool,
    pub(super) is_hashed: bool,
    form: fn(&str) -> Result<String, Reason>,
}

const fn key(name: &'static str, is_own: bool, is_hashed: bool, form: fn(&str) -> Result<String, Reason>) -> Key {
    Key { name, is_own, is_hashed, form }
}

/// All keys.
pub(super) static KEYS: [Key; 15] = [
    key("EMAIL", true, true, |text| META.email(text)),
    key("PHONE", true, true, |text| META.phone(text)),
    key("MADID", true, false, device),
    key("EXTERN_ID", true, false, own_id),
    key("FN", false, true, |text| Ok(META.name(text))),
    key("LN", false, true, |text| Ok(META.name(text))),
    key("FI", false, true, |text| Ok(META.name(text).chars().take(1).collect())),
    key("GEN", false, true, gender),
    key("DOBY", false, true, |text| birth(text, 0, 1900..=2100)),
    key("DOBM", false, true, |text| birth(text, 1, 1..=12)),
    key("DOBD", false, true, |text| birth(text, 2, 1..=31)),
    key("CT", false, true, |text| Ok(person::compact(text))),
    key("ST", false, true, |text| Ok(person::compact(text))),
    key("ZIP", false, true, |text| Ok(postcode(text))),
    key("COUNTRY", false, true, |text| person::country(text).map(|code| code.to_lowercase())),
];

const OPTIONS: &str = "DATA_PROCESSING_OPTIONS";
const PLACES: [&str; 2] = ["DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"];

/// Every name that a field can have.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).chain([OPTIONS]).chain(PLACES)
}

impl Column {
    /// The column of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let key = KEYS.iter().find(|key| key.name == name).map(|key| Self::Key(key, false));
        key.or_else(|| (name == OPTIONS).then_some(Self::Options))
            .or_else(|| PLACES.contains(&name).then_some(Self::Place))
    }

    /// A field's value as JSON text; of a key the bare text, empty where there is none.
    ///
    /// # Errors
    /// Why Meta would not match or take it.
    pub(super) fn cell(self, field: FieldRef<'_>) -> Result<String, Reason> {
        let value = field.value().filter(|value| !value.is_null());
        match (self, value) {
            (Self::Key(..), None) => Ok(String::new()),
            (Self::Key(key, hashed), Some(value)) => {
                let text = text_of(value)?;
                let cell = if key.is_hashed {
                    person::sha256(&text, hashed, key.form)
                } else {
                    Ok(text.trim()).and_then(|text| if text.is_empty() { Ok(None) } else { (key.form)(text).map(Some) })
                };
                cell.map(Option::unwrap_or_default).map_err(|reason| Reason { field: Some(key.name.into()), ..reason })
            }
            // Who is not known to be without limits has them.
            (Self::Options, None | Some(ValueRef::Bool(true))) => Ok(r#"["LDU"]"#.into()),
            (Self::Options, Some(ValueRef::Bool(false) | ValueRef::Text(""))) => Ok("[]".into()),
            (Self::Options, Some(ValueRef::Text(text))) if text.eq_ignore_ascii_case("LDU") => Ok(r#"["LDU"]"#.into()),
            (Self::Options, _) => {
                Err(Reason::new("INVALID_OPTIONS", "limited data use is true or false, or \"LDU\" or empty text"))
            }
            (Self::Place, None) => Ok("0".into()),
            (Self::Place, Some(ValueRef::Int(code @ 0..=9999))) => Ok(code.to_string()),
            (Self::Place, _) => Err(Reason::new("INVALID_OPTIONS", "a country or state of Meta's is a whole number")),
        }
    }
}

/// Whether these are enough to match a person by: a key of its own, or a family name.
pub(super) fn is_somebody(columns: &[Column], cells: &[String]) -> bool {
    let tells = |column: &Column| matches!(column, Column::Key(key, _) if key.is_own || key.name == "LN");
    columns.iter().zip(cells).any(|(column, cell)| tells(column) && !cell.is_empty())
}

/// The hashes that a person is found by: each key that stands for one person on a line of its own, which other members may
/// share; the rest on one line. Beside such keys it begins with `&` and a digest of them: it is no other member's.
pub(super) fn lines(columns: &[Column], cells: &[String]) -> String {
    let known = columns.iter().zip(cells).filter_map(|(column, cell)| match column {
        Column::Key(key, _) if !cell.is_empty() => Some((*key, cell)),
        _ => None,
    });
    let (own, shared): (Vec<_>, Vec<_>) = known.partition(|(key, _)| key.is_own);
    let pair = |(key, cell): &(&Key, &String)| format!("{}={cell}", key.name);
    let lines: Vec<String> = own.iter().map(pair).collect();
    let shared = shared.iter().map(pair).collect::<Vec<_>>().join("&");
    let own = lines.join("\n");
    match (own.is_empty(), shared.is_empty()) {
        (_, true) => own,
        (true, false) => shared,
        (false, false) => format!("{own}\n&{:016x}&{shared}", xxh3_64(own.as_bytes())),
    }
}

/// A person of a removal: values by the places of their keys in [`KEYS`].
pub(super) type Known<'a> = BTreeMap<usize, &'a str>;

/// Who is to be taken out for an address: mostly one; where it is not known which of two forms was sent, both. Nobody
/// where all that stands for the person is another's too.
pub(super) fn remembered(address: &Address) -> Vec<Known<'_>> {
    let (mut own, mut shared): (BTreeMap<usize, Vec<&str>>, Vec<Known<'_>>) = Default::default();
    let mut alone = false;
    for line in address.hashes() {
        match pair(line).filter(|(place, _)| KEYS[*place].is_own) {
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

/// The place of a key, and its value.
fn pair(text: &str) -> Option<(usize, &str)> {
    let (name, value) = text.split_once('=')?;
    Some((KEYS.iter().position(|key| key.name == name)?, value))
}

/// A value as text. What has no plain text form is nobody's key.
fn text_of(value: ValueRef<'_>) -> Result<String, Reason> {
    match value {
        ValueRef::Text(_) | ValueRef::Int(_) | ValueRef::Decimal(_) | ValueRef::Uuid(_) | ValueRef::Date(_) => {
            Ok(value.to_text())
        }
        _ => Err(Reason::new("INVALID_TYPE", "only text, whole numbers, dates and UUIDs can be matched")),
    }
}

fn device(text: &str) -> Result<String, Reason> {
    let id = text.to_lowercase();
    let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    // Devices of people who opted out all have the id of zeros.
    if is_id && id.bytes().any(|byte| !matches!(byte, b'0' | b'-')) {
        return Ok(id);
    }
    Err(Reason::new("INVALID_MADID", "not an advertiser's id of a device, or that of devices without one"))
}

fn own_id(text: &str) -> Result<String, Reason> {
    if text.chars().any(char::is_control) {
        return Err(Reason::new("INVALID_EXTERN_ID", "an id has no line breaks or other control characters"));
    }
    Ok(text.to_owned())
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
