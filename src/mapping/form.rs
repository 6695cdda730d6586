//! The form that a field's values are brought into: `as`, and `country` of telephone numbers.

use backhaul_kit::{Reason, Value};

use crate::config::{Country, Field};
use crate::transform::{Normaliser, phone_in};

/// What `as` and `country` of a field say, bound to the columns of a record.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    normaliser: Normaliser,
    country: Option<Dialled>,
}

/// The country in which numbers are dialled that do not say theirs.
#[derive(Clone, Debug)]
enum Dialled {
    In(Value),
    /// The column at this place.
    Column(usize),
}

impl Form {
    /// Of a field, in records of these columns; `None` where values go as they are.
    pub(crate) fn of(field: &Field, columns: &[String]) -> Option<Self> {
        let country = match &field.country {
            None => None,
            Some(Country::Is(code)) => Some(Dialled::In(Value::Text(code.clone()))),
            Some(Country::Column(name, _)) => columns.iter().position(|column| column == name).map(Dialled::Column),
        };
        Some(Self { normaliser: field.normalise?, country })
    }

    /// The place of the column that has a row's country.
    pub(crate) fn country_column(&self) -> Option<usize> {
        match &self.country {
            Some(Dialled::Column(place)) => Some(*place),
            Some(Dialled::In(_)) | None => None,
        }
    }

    /// Brings a value into the form; `country` gives the row's value of the [country's column](Self::country_column).
    ///
    /// # Errors
    /// What `country` says; else as [`Normaliser::apply`].
    pub(crate) fn apply(
        &self,
        value: &Value,
        country: impl FnOnce() -> Result<Value, Reason>,
    ) -> Result<Value, Reason> {
        match &self.country {
            None => self.normaliser.apply(value),
            Some(Dialled::In(code)) => phone_in(value, code),
            Some(Dialled::Column(_)) => phone_in(value, &country()?),
        }
    }
}
