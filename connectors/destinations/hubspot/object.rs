//! The objects that can be written: their names in `[into] object`, paths and scopes.

/// Id of a record, as a property: read-only, usable as the match of `update`.
pub(super) const RECORD_ID: &str = "hs_object_id";

/// The objects that every account has: name, path segment, the word in scopes.
///
/// The vendor's description lists deals under their type id.
const STANDARD: [(&str, &str, &str); 3] =
    [("contacts", "contacts", "contacts"), ("companies", "companies", "companies"), ("deals", "0-3", "deals")];

/// One type of CRM record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectType {
    name: String,
    path: String,
    scope: &'static str,
}

impl ObjectType {
    /// Reads `[into] object`; `None` where it names nothing that HubSpot could have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((name, path, scope)) = STANDARD.into_iter().find(|(name, ..)| *name == text) {
            return Some(Self { name: name.to_owned(), path: path.to_owned(), scope });
        }
        let custom = is_type_id(text) || is_qualified_name(text);
        custom.then(|| Self { name: text.to_owned(), path: text.to_owned(), scope: "custom" })
    }

    /// The names that every account knows.
    pub(super) fn standard_names() -> impl Iterator<Item = &'static str> {
        STANDARD.into_iter().map(|(name, ..)| name)
    }

    /// The name as the operator wrote it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The segment that stands for it in URLs.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether these are contacts, whose `email` is unique though its definition does not say so.
    pub(super) fn is_contacts(&self) -> bool {
        self.scope == "contacts"
    }

    /// The scope for every kind of write.
    pub(super) fn write_scope(&self) -> String {
        format!("crm.objects.{}.write", self.scope)
    }

    /// The scope for reading records.
    pub(super) fn read_scope(&self) -> String {
        format!("crm.objects.{}.read", self.scope)
    }

    /// The scope for reading property definitions; that of the records does as well.
    pub(super) fn schema_scope(&self) -> String {
        format!("crm.schemas.{}.read", self.scope)
    }
}

/// `2-123`.
fn is_type_id(text: &str) -> bool {
    text.strip_prefix("2-").is_some_and(is_number)
}

/// `p123_name`.
fn is_qualified_name(text: &str) -> bool {
    text.strip_prefix('p').and_then(|rest| rest.split_once('_')).is_some_and(|(hub, name)| {
        is_number(hub) && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_and_custom_objects_are_known_and_paths_cannot_be_smuggled_in() {
        let scope = |text: &str| ObjectType::parse(text).map(|object| object.write_scope());
        assert_eq!(scope("contacts").as_deref(), Some("crm.objects.contacts.write"));
        assert_eq!(scope("2-123").as_deref(), Some("crm.objects.custom.write"));
        assert_eq!(scope("p123_machine").as_deref(), Some("crm.objects.custom.write"));
        assert_eq!(ObjectType::parse("deals").map(|object| object.path().to_owned()).as_deref(), Some("0-3"));
        for refused in ["contact", "2-", "p_machine", "p1_", "2-1/batch", "p1_a/../contacts", ""] {
            assert_eq!(ObjectType::parse(refused), None, "{refused}");
        }
    }
}
