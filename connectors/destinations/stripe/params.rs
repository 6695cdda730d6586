//! The sync's fields as Stripe's parameters, and a row as a form.

use std::borrow::Cow;

use backhaul_kit::config::{Problem, Problems, nearest};
use backhaul_kit::http::Form;
use backhaul_kit::{FieldRef, FieldShape, Fields, NullPolicy, Reason, SyncShape, ValueRef, WritePolicy};

/// What finds a customer by its own id; it is never written.
pub(super) const ID: &str = "id";
/// The parameters of a customer that a sync may write.
const PLAIN: &[&str] = &["name", "email", "phone", "description", "tax_exempt"];
/// The parts of an address.
const ADDRESS: &[&str] =
    &["address.city", "address.country", "address.line1", "address.line2", "address.postal_code", "address.state"];
const METADATA: &str = "metadata.";
/// Characters of a metadata key, and keys of a customer.
const MAX_KEY: usize = 40;
const MAX_KEYS: usize = 50;

/// Where one field of the sync goes.
#[derive(Clone, Debug)]
pub(super) struct Param {
    /// The field's target: `metadata.plan`.
    pub(super) target: String,
    /// The parameter: `metadata[plan]`; none for the customer's own id.
    pub(super) name: Option<String>,
    /// Whether only the creation of a customer has it.
    on_create: bool,
}

impl Param {
    /// The metadata key that a target names.
    pub(super) fn metadata_key(target: &str) -> Option<&str> {
        target.strip_prefix(METADATA)
    }
}

/// Reads the targets; what Stripe cannot take goes to `problems`.
pub(super) fn read(shape: &SyncShape, problems: &Problems) -> Vec<Param> {
    let matched = shape.match_field.as_ref().map(|(place, _)| *place);
    let params = shape.fields.iter().enumerate().map(|(place, field)| {
        let target = field.target.clone();
        if target == ID && Some(place) == matched {
            return Param { target, name: None, on_create: false };
        }
        let name = parameter(field, problems);
        Param { target, name, on_create: field.write == WritePolicy::OnCreate }
    });
    let params: Vec<Param> = params.collect();
    let keys = params.iter().filter(|param| Param::metadata_key(&param.target).is_some()).count();
    if keys > MAX_KEYS {
        let message = format!("the sync writes {keys} metadata keys, and a customer has {MAX_KEYS} at most");
        problems.refuse("too-many-keys", &shape.span, message, "map fewer");
    }
    warn_of_partial_address(shape, problems);
    params
}

fn parameter(field: &FieldShape, problems: &Problems) -> Option<String> {
    let target = field.target.as_str();
    if PLAIN.contains(&target) {
        return Some(target.to_owned());
    }
    if ADDRESS.contains(&target) {
        return target.split_once('.').map(|(object, part)| format!("{object}[{part}]"));
    }
    if let Some(key) = Param::metadata_key(target) {
        if !key.is_empty() && key.chars().count() <= MAX_KEY && !key.contains(['[', ']']) {
            return Some(format!("metadata[{key}]"));
        }
        let message = format!("`{target}` names no metadata key");
        let remedy = format!("a key has 1 to {MAX_KEY} characters and no brackets");
        problems.refuse("bad-metadata-key", &field.span, message, &remedy);
        return None;
    }
    let known: Vec<&str> = PLAIN.iter().chain(ADDRESS).copied().collect();
    let remedy = format!("one of {}; a value of your own goes to \"metadata.NAME\"", known.join(", "));
    let message = format!("a customer has no field `{target}` that can be written");
    problems.refuse_near("unknown-field", &field.span, message, nearest(target, known.into_iter()), &remedy);
    None
}

/// Whether parts of an address that are not sent stay is not documented.
fn warn_of_partial_address(shape: &SyncShape, problems: &Problems) {
    let parts: Vec<&FieldShape> =
        shape.fields.iter().filter(|field| ADDRESS.contains(&field.target.as_str())).collect();
    let Some(first) = parts.first() else { return };
    if parts.len() < ADDRESS.len() || parts.iter().any(|field| field.null == NullPolicy::Skip) {
        let message = "the sync sends a part of the address: Stripe does not say what becomes of the others";
        let remedy = format!("map all of {}, without null = \"skip\"", ADDRESS.join(", "));
        problems.push(Problem::warning("partial-address", message).at(&first.span).remedy(remedy));
    }
}

/// A row as a form, of a customer that is to be created or of one that is there.
///
/// # Errors
/// The reason to reject the row, for a value that no destination can take.
pub(super) fn form(params: &[Param], fields: &Fields, creates: bool) -> Result<Form, Reason> {
    let mut form = Form::default();
    for (param, field) in params.iter().zip(fields.iter()).filter(|(param, _)| creates || !param.on_create) {
        let Some(name) = &param.name else { continue };
        let text = text(field).map_err(|reason| Reason { field: Some(param.target.clone()), ..reason })?;
        if let Some(text) = text {
            form.push(name, &text);
        }
    }
    Ok(form)
}

/// Every parameter that the sync keeps up, emptied; the one at `kept` stays, so that the customer is found again.
pub(super) fn emptied(params: &[Param], kept: usize) -> Form {
    let mut form = Form::default();
    let others = params.iter().enumerate().filter(|(place, param)| *place != kept && !param.on_create);
    others.filter_map(|(_, param)| param.name.as_deref()).for_each(|name| form.push(name, ""));
    form
}

/// The text of a field; `None` where it is left out. NULL and `clear` are the empty text, which empties it.
///
/// # Errors
/// The reason to reject the row, for a value that no destination can take.
pub(super) fn text(field: FieldRef<'_>) -> Result<Option<Cow<'_, str>>, Reason> {
    Ok(match field {
        FieldRef::Skip => None,
        FieldRef::Clear => Some(Cow::Borrowed("")),
        FieldRef::Set(ValueRef::Text(text)) => Some(Cow::Borrowed(text)),
        FieldRef::Set(ValueRef::Invalid(why)) => return Err(Reason::new("INVALID_VALUE", why)),
        FieldRef::Set(value) => Some(Cow::Owned(value.to_text())),
    })
}
