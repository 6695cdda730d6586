//! A row as an event, and the ids of both objects.

use aws_lc_rs::digest::{Context, SHA256};
use backhaul_kit::value::{hex, write_json_str};
use backhaul_kit::{FieldRef, Reason, Row, ValueRef};
use jiff::Timestamp;

use super::sync::MixpanelSync;

/// Ids that Mixpanel refuses, since they stand for nobody.
pub(super) const FORBIDDEN_IDS: [&str; 17] = [
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
];
/// Mixpanel cuts longer texts.
const MAX_ID_CHARS: usize = 255;
/// Integers below are seconds, those from here on milliseconds: the year 5138, and the spring of 1973.
const LEAST_MILLIS: i64 = 100_000_000_000;

/// Appends the event of a row and gives its `$insert_id`.
///
/// # Errors
/// Why the row cannot be an event.
pub(super) fn write(
    sync: &MixpanelSync,
    [event, time, distinct_id]: [usize; 3],
    row: &Row,
    now: Timestamp,
    out: &mut Vec<u8>,
) -> Result<String, Reason> {
    let name = text(row.fields.get(event)).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| of("event", Reason::new("NO_EVENT", "the event has no name in this row")))?;
    let id = id(row.fields.get(distinct_id)).map_err(|reason| of("distinct_id", reason))?;
    let moment = moment(row.fields.get(time), now).map_err(|reason| of("time", reason))?;
    let mut head = br#"{"event":"#.to_vec();
    write_json_str(&name, &mut head);
    head.extend_from_slice(format!(r#","properties":{{"time":{moment},"distinct_id":"#).as_bytes());
    write_json_str(&id.unwrap_or_default(), &mut head);
    let mut rest = Vec::new();
    if !sync.targets.iter().any(|target| target == "ip") {
        rest.extend_from_slice(br#","ip":0"#);
    }
    for (place, (target, field)) in sync.targets.iter().zip(row.fields.iter()).enumerate() {
        if [event, time, distinct_id].contains(&place) {
            continue;
        }
        if let Some(value) = set(target, field)? {
            rest.push(b',');
            write_member(target, value, &mut rest);
        }
    }
    let insert_id = insert_id([sync.name.as_bytes(), &row.key, &head, &rest]);
    out.extend_from_slice(&head);
    out.extend_from_slice(format!(r#","$insert_id":"{insert_id}""#).as_bytes());
    out.extend_from_slice(&rest);
    out.extend_from_slice(b"}}");
    Ok(insert_id)
}

/// 32 hexadecimal digits that are the same for the same row of the same sync, and for no other.
fn insert_id(parts: [&[u8]; 4]) -> String {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finish().as_ref()[..16])
}

/// The id of a person; `None` where the field has none.
///
/// # Errors
/// An id that Mixpanel refuses or would cut.
pub(super) fn id(field: Option<FieldRef<'_>>) -> Result<Option<String>, Reason> {
    if let Some(FieldRef::Set(ValueRef::Invalid(why))) = field {
        return Err(Reason::new("INVALID_VALUE", why));
    }
    let Some(id) = text(field).filter(|id| !id.is_empty()) else { return Ok(None) };
    if FORBIDDEN_IDS.contains(&id.to_lowercase().as_str()) {
        return Err(Reason::new("FORBIDDEN_ID", "Mixpanel refuses this id: it stands for nobody"));
    }
    if id.chars().count() > MAX_ID_CHARS {
        return Err(Reason::new("ID_TOO_LONG", "Mixpanel would cut this id at 255 characters"));
    }
    Ok(Some(id))
}

/// The value of a property, where it has one.
///
/// # Errors
/// A value that no destination can take.
pub(super) fn set<'a>(target: &str, field: FieldRef<'a>) -> Result<Option<ValueRef<'a>>, Reason> {
    match field {
        FieldRef::Set(ValueRef::Invalid(why)) => Err(of(target, Reason::new("INVALID_VALUE", why))),
        FieldRef::Set(value) if !value.is_null() => Ok(Some(value)),
        FieldRef::Set(_) | FieldRef::Clear | FieldRef::Skip => Ok(None),
    }
}

/// Appends `"name":value`.
pub(super) fn write_member(name: &str, value: ValueRef<'_>, out: &mut Vec<u8>) {
    write_json_str(name, out);
    out.push(b':');
    value.write_json(out);
}

fn of(target: &str, reason: Reason) -> Reason {
    Reason { field: Some(target.to_owned()), ..reason }
}

fn text(field: Option<FieldRef<'_>>) -> Option<String> {
    field?.value().filter(|value| !value.is_null()).map(ValueRef::to_text)
}

/// The time of an event, as a number that Mixpanel takes for seconds or milliseconds.
fn moment(field: Option<FieldRef<'_>>, now: Timestamp) -> Result<i64, Reason> {
    let invalid = |text: &str| Reason::new("INVALID_TIME", text);
    let time = match field.and_then(FieldRef::value) {
        Some(ValueRef::Timestamp(micros)) => micros.div_euclid(1000),
        Some(ValueRef::Date(days)) => i64::from(days) * 86_400_000,
        Some(ValueRef::Int(number)) => number,
        Some(ValueRef::Text(text)) => text
            .parse::<Timestamp>()
            .map_err(|_| {
                invalid("no point in time with a zone: use as = \"timestamp\", which reads one without as UTC")
            })?
            .as_millisecond(),
        None | Some(ValueRef::Null) => return Err(invalid("the event has no time in this row")),
        Some(_) => return Err(invalid("no point in time: use as = \"timestamp\"")),
    };
    let millis = if time.abs() < LEAST_MILLIS { time * 1000 } else { time };
    if millis > now.as_millisecond() {
        let text = "Mixpanel overwrites a time in the future, and a repeated call would be a second event";
        return Err(Reason::new("TIME_IN_FUTURE", text));
    }
    Ok(time)
}
