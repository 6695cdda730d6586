//! A row as a member: the identifiers by which Google finds a person.

use backhaul_kit::normalise::person::{self, GOOGLE};
use backhaul_kit::{Fields, Reason};
use serde_json::{Value, json};

use super::sync::AudienceSync;

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Email,
    Phone,
    FirstName,
    LastName,
    Country,
    Postcode,
}

impl Part {
    /// All, with their names.
    pub(super) const NAMES: [(&str, Self); 6] = [
        ("email", Self::Email),
        ("phone", Self::Phone),
        ("first_name", Self::FirstName),
        ("last_name", Self::LastName),
        ("country", Self::Country),
        ("postcode", Self::Postcode),
    ];

    /// Those of a postal address.
    pub(super) const ADDRESS: [Self; 4] = [Self::FirstName, Self::LastName, Self::Country, Self::Postcode];

    /// Those that go out hashed.
    pub(super) const HASHED: [Self; 4] = [Self::Email, Self::Phone, Self::FirstName, Self::LastName];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }

    /// As it goes out; `None` where nothing is left of it.
    fn normal(self, text: &str, hashed: bool) -> Result<Option<String>, Reason> {
        match self {
            Self::Email => person::sha256(text, hashed, |text| GOOGLE.email(text)),
            Self::Phone => person::sha256(text, hashed, |text| GOOGLE.phone(text)),
            Self::FirstName | Self::LastName => person::sha256(text, hashed, |text| Ok(GOOGLE.name(text))),
            Self::Country => person::country(text).map(Some),
            Self::Postcode => {
                let words: Vec<&str> = text.split_whitespace().collect();
                Ok((!words.is_empty()).then(|| words.join(" ")))
            }
        }
    }
}

/// What was found in a row.
#[derive(Debug)]
pub(super) struct Identifiers {
    /// One a line: what is sent, and remembered to remove the member by.
    pub(super) lines: String,
    /// Values that are no identifier.
    pub(super) invalid: usize,
}

/// The identifiers of a row. Values that are not valid are left out: the others find the person too.
///
/// # Errors
/// A hash that nobody declared, or what was declared to be one and is not: the field is not what the sync says.
pub(super) fn identifiers(sync: &AudienceSync, fields: &Fields) -> Result<Identifiers, Reason> {
    let mut normal: [Option<String>; Part::NAMES.len()] = Default::default();
    let mut invalid = 0;
    for (part, field) in sync.parts.iter().zip(fields.iter()) {
        let Some(value) = field.value().filter(|value| !value.is_null()) else { continue };
        match part.normal(&value.to_text(), sync.hashed.contains(part)) {
            Ok(text) => normal[*part as usize] = text,
            Err(reason) if matches!(reason.code.as_str(), "ALREADY_HASHED" | "INVALID_HASH") => {
                return Err(Reason { field: Some(part.name().to_owned()), ..reason });
            }
            Err(_) => invalid += 1,
        }
    }
    let [email, phone, address @ ..] = normal;
    let mut lines = Vec::new();
    lines.extend(email.map(|hash| format!("email {hash}")));
    lines.extend(phone.map(|hash| format!("phone {hash}")));
    if let [Some(first), Some(last), Some(country), Some(postcode)] = address {
        lines.push(format!("address {first} {last} {country} {postcode}"));
    }
    Ok(Identifiers { lines: lines.join("\n"), invalid })
}

/// A line as Google wants it; `None` for one that was never written here.
pub(super) fn json(line: &str) -> Option<Value> {
    let (kind, rest) = line.split_once(' ')?;
    Some(match kind {
        "email" => json!({ "emailAddress": rest }),
        "phone" => json!({ "phoneNumber": rest }),
        "address" => {
            let parts: Vec<&str> = rest.splitn(Part::ADDRESS.len(), ' ').collect();
            let [given, family, region, postal] = parts.as_slice() else { return None };
            json!({ "address": { "givenName": given, "familyName": family, "regionCode": region, "postalCode": postal } })
        }
        _ => return None,
    })
}
