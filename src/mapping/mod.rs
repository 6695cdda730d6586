//! A warehouse record → the destination's fields.
//!
//! A field's value takes this way: source → `as` → `default`, where it is NULL → what `null` says of a NULL.
//! Columns that are sent as they are take a short cut.
//!
//! A `lookup` or a `ref` goes another way: source → `as` → the id of the record that has the value
//! ([how](crate::diff)) → `default` → `null`. Its field is what finds the record until the id is known.

mod compile;
mod digest;
mod form;
#[cfg(test)]
mod tests;

use backhaul_kit::{FieldValue, Nest, NullPolicy, Projection, Reason, Value};

pub use compile::{cannot_identify, classes, columns, is_identifying};
pub use digest::digest;
pub(crate) use form::Form;

use crate::diff::{Reference, RowMapper};
use crate::transform::Template;

/// The code of a row with a value that no destination can take.
pub const NOT_SENDABLE: &str = "NOT_SENDABLE";
const TEMPLATE_FAILED: &str = "TEMPLATE_FAILED";

/// The mapping of one sync, bound to its model's columns.
#[derive(Debug)]
pub struct Mapper {
    targets: Vec<String>,
    columns: Vec<String>,
    key: Vec<usize>,
    steps: Vec<Step>,
    references: Vec<Reference>,
    nest: Nest,
}

/// How one field gets its value.
#[derive(Debug)]
struct Step {
    source: Source,
    form: Option<Form>,
    default: Option<Value>,
    null: NullPolicy,
}

#[derive(Debug)]
enum Source {
    /// The column at this place of the record.
    Column(usize),
    /// The same for every row, modifiers applied.
    Constant(FieldValue),
    /// A template over the columns at these places.
    Template(Template, Vec<usize>),
    /// What finds the record that the row refers to: the column at this place.
    Reference(usize),
}

impl Mapper {
    /// Names of the columns that a record must have, in order: the key's first, then the others, each once.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What to ask a scan for.
    pub fn projection(&self, seed: u64) -> Projection {
        let columns = self.columns.clone();
        Projection { fingerprinted: columns.len(), columns, key: self.key.clone(), seed }
    }

    fn field(&self, step: &Step, record: &[Value]) -> Result<FieldValue, Reason> {
        let value = match &step.source {
            Source::Constant(constant) => return Ok(constant.clone()),
            Source::Column(place) => self.normalised(step, *place, record)?,
            Source::Reference(place) => return Ok(FieldValue::Set(self.normalised(step, *place, record)?)),
            Source::Template(template, places) => {
                let mut row = Vec::with_capacity(places.len());
                for place in places {
                    row.push((self.columns[*place].as_str(), self.value(*place, record)?));
                }
                let text = template.render(row.into_iter()).map_err(|why| Reason::new(TEMPLATE_FAILED, why))?;
                self.formed(step, &Value::Text(text), record)?
            }
        };
        Ok(settle(value, step.default.as_ref(), step.null))
    }

    fn normalised(&self, step: &Step, place: usize, record: &[Value]) -> Result<Value, Reason> {
        self.formed(step, self.value(place, record)?, record)
    }

    fn formed(&self, step: &Step, value: &Value, record: &[Value]) -> Result<Value, Reason> {
        match &step.form {
            Some(form) => form.apply(value, || match form.country_column() {
                Some(place) => self.value(place, record).cloned(),
                None => Ok(Value::Null),
            }),
            None => Ok(value.clone()),
        }
    }

    fn value<'a>(&self, place: usize, record: &'a [Value]) -> Result<&'a Value, Reason> {
        let value = record
            .get(place)
            .ok_or_else(|| Reason::new(NOT_SENDABLE, "the scan handed over fewer columns than it was asked for"))?;
        match invalid(value) {
            None => Ok(value),
            Some(why) => Err(Reason::new(NOT_SENDABLE, format!("column `{}`: {why}", self.columns[place]))),
        }
    }
}

/// `default`, then `null`.
fn settle(value: Value, default: Option<&Value>, null: NullPolicy) -> FieldValue {
    if !value.is_null() {
        return FieldValue::Set(value);
    }
    match (default, null) {
        (Some(default), _) => FieldValue::Set(default.clone()),
        (None, NullPolicy::Send) => FieldValue::Set(Value::Null),
        (None, NullPolicy::Skip) => FieldValue::Skip,
        (None, NullPolicy::Clear) => FieldValue::Clear,
    }
}

/// Why a value, or one inside it, cannot be sent.
fn invalid(value: &Value) -> Option<&str> {
    match value {
        Value::Invalid(why) => Some(why),
        Value::Array(items) => items.iter().find_map(invalid),
        _ => None,
    }
}

impl RowMapper for Mapper {
    fn fields(&self) -> &[String] {
        &self.targets
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        let mut fields = Vec::with_capacity(self.steps.len());
        for (step, target) in self.steps.iter().zip(&self.targets) {
            let field = self.field(step, record).map_err(|reason| Reason { field: Some(target.clone()), ..reason })?;
            fields.push(field);
        }
        self.nest.check(&fields)?;
        Ok(fields)
    }

    fn references(&self) -> &[Reference] {
        &self.references
    }

    fn settle(&self, place: usize, value: Value) -> FieldValue {
        match self.steps.get(place) {
            Some(step) => settle(value, step.default.as_ref(), step.null),
            None => FieldValue::Set(value),
        }
    }
}
