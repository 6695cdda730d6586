//! Definitions of properties, and what values they take.

use serde::Deserialize;

/// The longest text of a property, in characters.
const MAX_TEXT: usize = 65_536;
const DAY_MILLIS: i64 = 86_400_000;

/// What kind of values a property takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    Date,
    DateTime,
    Choice,
}

impl Kind {
    const NAMES: [(&'static str, Self); 6] = [
        ("string", Self::Text),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("date", Self::Date),
        ("datetime", Self::DateTime),
        ("enumeration", Self::Choice),
    ];

    /// HubSpot's name of the type.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// A property.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Allowed values of a choice.
    pub(super) options: Vec<String>,
    /// A choice that takes several values, joined by `;`.
    pub(super) multiple: bool,
    /// The allowed values stand elsewhere: any value is taken.
    pub(super) external_options: bool,
    pub(super) unique: bool,
    pub(super) read_only: bool,
    /// Part of every account.
    pub(super) built_in: bool,
}

/// Why a value was refused: a code, and a text for people.
pub(super) type Refused = (&'static str, String);

impl Property {
    /// A property of a type by HubSpot's name; `None` for an unknown type or an impossible name.
    pub(super) fn new(name: &str, kind: &str) -> Option<Self> {
        let kind = Kind::NAMES.into_iter().find(|(known, _)| *known == kind)?.1;
        let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        well_formed.then(|| Self {
            name: name.to_owned(),
            kind,
            options: Vec::new(),
            multiple: false,
            external_options: false,
            unique: false,
            read_only: false,
            built_in: false,
        })
    }

    /// Reads `name:type[:unique][:read_only][:multiple][:external][:option|option…]`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut property = Self::new(parts.next()?, parts.next()?)?;
        for part in parts {
            match part {
                "unique" => property.unique = true,
                "read_only" => property.read_only = true,
                "multiple" => property.multiple = true,
                "external" => property.external_options = true,
                options => property.options = options.split('|').map(str::to_owned).collect(),
            }
        }
        Some(property)
    }

    /// The value as it is kept, or why it is not. The empty text empties a property.
    pub(super) fn accept(&self, value: &str) -> Result<String, Refused> {
        if self.read_only {
            return Err((
                "READ_ONLY_VALUE",
                format!("\"{}\" is a read only property; its value cannot be set.", self.name),
            ));
        }
        if value.is_empty() {
            return Ok(String::new());
        }
        match self.kind {
            Kind::Text if self.name == "email" => email(value),
            Kind::Text if value.chars().count() > MAX_TEXT => {
                Err(("INVALID_LENGTH", format!("Property values must be {MAX_TEXT} characters or fewer.")))
            }
            Kind::Text => Ok(value.to_owned()),
            Kind::Number => match value.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(value.to_owned()),
                _ => Err(("INVALID_LONG", format!("{value} was not a valid number."))),
            },
            Kind::Bool if matches!(value, "true" | "false") => Ok(value.to_owned()),
            Kind::Bool => Err(("INVALID_BOOLEAN", format!("{value} was not a valid boolean."))),
            Kind::Date => date(value),
            Kind::DateTime => date_time(value),
            Kind::Choice => self.choice(value),
        }
    }

    fn choice(&self, value: &str) -> Result<String, Refused> {
        let allowed = |part: &str| self.external_options || self.options.iter().any(|option| option == part);
        let fits = if self.multiple { value.split(';').all(allowed) } else { allowed(value) };
        if fits {
            return Ok(value.to_owned());
        }
        let options = self.options.join(", ");
        Err(("INVALID_OPTION", format!("{value} was not one of the allowed options: [{options}]")))
    }
}

/// One local part, one domain with a dot and a top level of letters.
fn email(value: &str) -> Result<String, Refused> {
    let address = value.trim().to_lowercase();
    let well_formed = address.split_once('@').is_some_and(|(local, domain)| {
        let top = domain.rsplit_once('.').filter(|(rest, _)| !rest.is_empty()).map_or("", |(_, top)| top);
        !local.is_empty()
            && !address.contains(char::is_whitespace)
            && !domain.contains('@')
            && !domain.contains("..")
            && top.len() >= 2
            && top.bytes().all(|b| b.is_ascii_alphabetic())
    });
    if well_formed { Ok(address) } else { Err(("INVALID_EMAIL", format!("Email address {value} is invalid"))) }
}

fn date(value: &str) -> Result<String, Refused> {
    if let Ok(date) = value.parse::<jiff::civil::Date>()
        && date.to_string() == value
    {
        return Ok(date.to_string());
    }
    let refused = || ("INVALID_DATE", format!("{value} is not a valid date: it must be midnight UTC."));
    let millis: i64 = value.parse().map_err(|_| refused())?;
    let time = jiff::Timestamp::from_millisecond(millis).map_err(|_| refused())?;
    if millis.rem_euclid(DAY_MILLIS) == 0 { Ok(time.strftime("%Y-%m-%d").to_string()) } else { Err(refused()) }
}

fn date_time(value: &str) -> Result<String, Refused> {
    let parsed = match value.parse::<i64>() {
        Ok(millis) => jiff::Timestamp::from_millisecond(millis).ok(),
        Err(_) => value.parse::<jiff::Timestamp>().ok(),
    };
    parsed
        .map(|time| time.to_string())
        .ok_or_else(|| ("INVALID_DATE", format!("{value} is not a valid date and time.")))
}

/// The properties that objects with this scope have from the start.
pub(super) fn built_in(scope: &str) -> impl Iterator<Item = Property> {
    let own = match scope {
        "contacts" => {
            "email:string:unique,firstname:string,lastname:string,phone:string,mobilephone:string,company:string,\
             jobtitle:string,website:string,address:string,city:string,state:string,zip:string,country:string,\
             lifecyclestage:enumeration:subscriber|lead|marketingqualifiedlead|salesqualifiedlead|opportunity|customer|\
             evangelist|other,lastmodifieddate:datetime:read_only"
        }
        "companies" => {
            "name:string,domain:string,phone:string,website:string,description:string,address:string,city:string,\
             state:string,zip:string,country:string,numberofemployees:number,annualrevenue:number,\
             lifecyclestage:enumeration:subscriber|lead|marketingqualifiedlead|salesqualifiedlead|opportunity|customer|\
             evangelist|other,hs_lastmodifieddate:datetime:read_only"
        }
        "deals" => {
            "dealname:string,description:string,amount:number,closedate:datetime,dealstage:enumeration:external,\
             pipeline:enumeration:external,hs_lastmodifieddate:datetime:read_only"
        }
        _ => "name:string,hs_lastmodifieddate:datetime:read_only",
    };
    let all = "hubspot_owner_id:enumeration:external,hs_object_id:number:read_only,createdate:datetime:read_only";
    let read = own.split(',').chain(all.split(',')).filter_map(Property::read);
    read.map(|property| Property { built_in: true, ..property })
}

/// A property as `POST /crm/v3/properties/{objectType}` describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewProperty {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    field_type: String,
    #[serde(default)]
    has_unique_value: bool,
    #[serde(default)]
    options: Vec<NewOption>,
}

#[derive(Debug, Deserialize)]
struct NewOption {
    value: String,
}

impl NewProperty {
    /// The definition; `None` where name or type are impossible.
    pub(super) fn define(self) -> Option<Property> {
        let property = Property::new(&self.name, &self.kind)?;
        Some(Property {
            multiple: self.field_type == "checkbox",
            unique: self.has_unique_value,
            options: self.options.into_iter().map(|option| option.value).collect(),
            ..property
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(kind: &str, value: &str) -> Result<String, &'static str> {
        Property::new("p", kind).expect("a property").accept(value).map_err(|(code, _)| code)
    }

    #[test]
    fn values_are_checked_by_their_type() {
        assert_eq!(accept("date", "2026-02-28").as_deref(), Ok("2026-02-28"));
        assert_eq!(accept("date", "1735689600000").as_deref(), Ok("2025-01-01"));
        assert_eq!(accept("date", "1735689600001"), Err("INVALID_DATE"));
        assert_eq!(accept("date", "28.02.2026"), Err("INVALID_DATE"));
        assert_eq!(accept("datetime", "2026-02-28T10:00:00Z").as_deref(), Ok("2026-02-28T10:00:00Z"));
        assert_eq!(accept("datetime", "2026-02-28T10:00:00"), Err("INVALID_DATE"));
        assert_eq!(accept("number", "1e3").as_deref(), Ok("1e3"));
        assert_eq!(accept("number", "NaN"), Err("INVALID_LONG"));
        assert_eq!(accept("bool", "yes"), Err("INVALID_BOOLEAN"));
        assert_eq!(accept("number", "").as_deref(), Ok(""));
    }

    #[test]
    fn email_addresses_are_checked_and_kept_in_lower_case() {
        let email = Property::new("email", "string").expect("a property");
        assert_eq!(email.accept(" Ada@Example.COM ").as_deref(), Ok("ada@example.com"));
        for bad in
            ["ada", "@example.com", "ada@example", "a b@example.com", "a@b@example.com", "a@example..com", "a@.c0m"]
        {
            assert_eq!(email.accept(bad).map_err(|(code, _)| code), Err("INVALID_EMAIL"), "{bad}");
        }
    }
}
