//! Definitions of properties, in the vendor's JSON, and what values they take.

use backhaul_kit::json::{items, text};
use serde_json::{Value, json};

/// The longest text of a property, in characters.
const MAX_TEXT: usize = 65_536;
const DAY_MILLIS: i64 = 86_400_000;

/// The types, each with the kind of field that shows it.
const TYPES: [(&str, &str); 6] = [
    ("string", "text"),
    ("number", "number"),
    ("bool", "booleancheckbox"),
    ("date", "date"),
    ("datetime", "date"),
    ("enumeration", "select"),
];

/// What every account has: objects by the word for them in scopes (all without one), the rest of [`read`]'s form after
/// the name, and names.
const BUILT_IN: [(&str, &str, &str); 15] = [
    ("contacts", "string", "email firstname lastname mobilephone company jobtitle"),
    ("contacts companies", "string", "phone website address city state zip country"),
    (
        "contacts companies",
        "enumeration:subscriber|lead|marketingqualifiedlead|salesqualifiedlead|opportunity|customer|evangelist|other",
        "lifecyclestage",
    ),
    ("contacts", "datetime:read_only", "lastmodifieddate"),
    ("companies", "string", "name domain description"),
    ("companies", "number", "numberofemployees annualrevenue"),
    ("deals", "string", "dealname description"),
    ("deals", "number", "amount"),
    ("deals", "datetime", "closedate"),
    ("deals", "enumeration:external", "dealstage pipeline"),
    ("custom", "string", "name"),
    ("companies deals custom", "datetime:read_only", "hs_lastmodifieddate"),
    ("", "enumeration:external", "hubspot_owner_id"),
    ("", "number:read_only", "hs_object_id"),
    ("", "datetime:read_only", "createdate"),
];

/// The properties that an object with this word in its scopes has from the start.
pub(super) fn built_in(scope: &str) -> impl Iterator<Item = Value> {
    let of_object = BUILT_IN.into_iter().filter(move |(objects, ..)| objects.is_empty() || objects.contains(scope));
    let read = |(_, kind, names): (_, &'static str, &'static str)| {
        names.split(' ').filter_map(move |name| read(&format!("{name}:{kind}")))
    };
    of_object.flat_map(read).map(|mut property| {
        property["hubspotDefined"] = json!(true);
        property["modificationMetadata"]["archivable"] = json!(false);
        property["modificationMetadata"]["readOnlyDefinition"] = json!(true);
        property
    })
}

/// Reads `name:type[:unique][:read_only][:multiple][:external][:option|option…]`; `None` as [`define`].
pub(super) fn read(text: &str) -> Option<Value> {
    let mut parts = text.split(':');
    let mut property = define(&json!({ "name": parts.next()?, "type": parts.next()? }))?;
    let option = |(place, option)| json!({ "label": option, "value": option, "displayOrder": place, "hidden": false });
    for part in parts {
        match part {
            "unique" => property["hasUniqueValue"] = json!(true),
            "read_only" => property["modificationMetadata"]["readOnlyValue"] = json!(true),
            "multiple" => property["fieldType"] = json!("checkbox"),
            "external" => property["externalOptions"] = json!(true),
            options => property["options"] = options.split('|').enumerate().map(option).collect(),
        }
    }
    Some(property)
}

/// The whole definition of a property of which this much is said; `None` for an unknown type or an impossible name.
pub(super) fn define(said: &Value) -> Option<Value> {
    let (name, kind) = (said["name"].as_str()?, said["type"].as_str()?);
    let (_, field_type) = TYPES.into_iter().find(|(known, _)| *known == kind)?;
    let is_well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let Value::Object(mut whole) = json!({
        "label": name, "description": "", "groupName": "standin", "fieldType": field_type, "options": [],
        "externalOptions": false, "calculated": false, "hasUniqueValue": false, "hubspotDefined": false,
        "hidden": false, "archived": false,
        "modificationMetadata": { "archivable": true, "readOnlyDefinition": false, "readOnlyValue": false },
    }) else {
        return None;
    };
    whole.extend(said.as_object().cloned().unwrap_or_default());
    is_well_formed.then_some(Value::Object(whole))
}

/// Whether no two records can have the same value. That of contacts' e-mail addresses is not part of the definition.
pub(super) fn is_unique(property: &Value) -> bool {
    property["hasUniqueValue"] == true || (property["name"] == "email" && property["hubspotDefined"] == true)
}

/// A value in the form in which it is kept and found.
pub(super) fn kept(name: &str, value: &str) -> String {
    if name == "email" { value.trim().to_lowercase() } else { value.to_owned() }
}

/// The value as it is kept, or a code and a text for people that say why it is not. The empty text empties a property.
pub(super) fn accept(property: &Value, value: &str) -> Result<String, (&'static str, String)> {
    let name = text(property, "name");
    let options: Vec<&str> = items(&property["options"]).map(|option| text(option, "value")).collect();
    let is_choice = |value: &str| property["externalOptions"] == true || options.contains(&value);
    let as_it_is = |fits: bool| fits.then(|| value.to_owned());
    let (kept, code, why) = match text(property, "type") {
        _ if property["modificationMetadata"]["readOnlyValue"] == true => {
            (None, "READ_ONLY_VALUE", format!("\"{name}\" is a read only property; its value cannot be set."))
        }
        _ if value.is_empty() => return Ok(String::new()),
        "string" if name == "email" => (email(value), "INVALID_EMAIL", format!("Email address {value} is invalid")),
        "string" => {
            let why = format!("Property values must be {MAX_TEXT} characters or fewer.");
            (as_it_is(value.chars().count() <= MAX_TEXT), "INVALID_LENGTH", why)
        }
        "number" => {
            let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
            (as_it_is(is_number), "INVALID_LONG", format!("{value} was not a valid number."))
        }
        "bool" => {
            let is_bool = ["true", "false"].contains(&value);
            (as_it_is(is_bool), "INVALID_BOOLEAN", format!("{value} was not a valid boolean."))
        }
        "date" => (date(value), "INVALID_DATE", format!("{value} is not a valid date: it must be midnight UTC.")),
        "datetime" => (date_time(value), "INVALID_DATE", format!("{value} is not a valid date and time.")),
        _ => {
            let fits = if text(property, "fieldType") == "checkbox" {
                value.split(';').all(is_choice)
            } else {
                is_choice(value)
            };
            let why = format!("{value} was not one of the allowed options: [{}]", options.join(", "));
            (as_it_is(fits), "INVALID_OPTION", why)
        }
    };
    kept.ok_or((code, why))
}

/// One local part, one domain with a dot and a top level of letters.
fn email(value: &str) -> Option<String> {
    let address = kept("email", value);
    let (local, domain) = address.split_once('@')?;
    let (rest, top) = domain.rsplit_once('.')?;
    let is_well_formed = !local.is_empty()
        && !rest.is_empty()
        && !address.contains(char::is_whitespace)
        && !domain.contains('@')
        && !domain.contains("..")
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic());
    is_well_formed.then_some(address)
}

/// A date, or milliseconds since 1970 that are midnight.
fn date(value: &str) -> Option<String> {
    if let Ok(millis) = value.parse::<i64>() {
        let time = jiff::Timestamp::from_millisecond(millis).ok().filter(|_| millis.rem_euclid(DAY_MILLIS) == 0)?;
        return Some(time.strftime("%Y-%m-%d").to_string());
    }
    value.parse::<jiff::civil::Date>().ok().map(|date| date.to_string()).filter(|date| date == value)
}

/// A time with its zone, or milliseconds since 1970.
fn date_time(value: &str) -> Option<String> {
    let millis = value.parse().ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    millis.or_else(|| value.parse().ok()).map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(definition: &str, value: &str) -> Result<String, &'static str> {
        accept(&read(definition).expect("a property"), value).map_err(|(code, _)| code)
    }

    #[test]
    fn values_are_checked_by_their_type() {
        assert_eq!(accepted("p:date", "2026-02-28").as_deref(), Ok("2026-02-28"));
        assert_eq!(accepted("p:date", "1735689600000").as_deref(), Ok("2025-01-01"));
        assert_eq!(accepted("p:date", "1735689600001"), Err("INVALID_DATE"));
        assert_eq!(accepted("p:date", "28.02.2026"), Err("INVALID_DATE"));
        assert_eq!(accepted("p:datetime", "2026-02-28T10:00:00Z").as_deref(), Ok("2026-02-28T10:00:00Z"));
        assert_eq!(accepted("p:datetime", "2026-02-28T10:00:00"), Err("INVALID_DATE"));
        assert_eq!(accepted("p:number", "1e3").as_deref(), Ok("1e3"));
        assert_eq!(accepted("p:number", "NaN"), Err("INVALID_LONG"));
        assert_eq!(accepted("p:bool", "yes"), Err("INVALID_BOOLEAN"));
        assert_eq!(accepted("p:number", "").as_deref(), Ok(""));
        assert_eq!(accepted("p:enumeration:multiple:tea|rum", "rum;tea").as_deref(), Ok("rum;tea"));
        assert_eq!(accepted("p:enumeration:tea|rum", "rum;tea"), Err("INVALID_OPTION"));
        assert_eq!(accepted("p:enumeration:external", "beer").as_deref(), Ok("beer"));
    }

    #[test]
    fn email_addresses_are_checked_and_kept_in_lower_case() {
        assert_eq!(accepted("email:string", " Ada@Example.COM ").as_deref(), Ok("ada@example.com"));
        for bad in
            ["ada", "@example.com", "ada@example", "a b@example.com", "a@b@example.com", "a@example..com", "a@.c0m"]
        {
            assert_eq!(accepted("email:string", bad), Err("INVALID_EMAIL"), "{bad}");
        }
    }

    #[test]
    fn every_built_in_property_can_be_read() {
        let all = BUILT_IN.iter().map(|(_, _, names)| names.split(' ').count()).sum::<usize>();
        let read = BUILT_IN.iter().flat_map(|(_, kind, names)| names.split(' ').map(move |name| (name, kind)));
        assert_eq!(read.filter_map(|(name, kind)| self::read(&format!("{name}:{kind}"))).count(), all);
        assert!(built_in("contacts").any(|property| property["name"] == "email" && is_unique(&property)));
    }
}
