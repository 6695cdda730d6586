//! Match values: where a sync can remove, no two rows may be found by the same one.

use backhaul_kit::{KeyHash, Projection, RowPage, Value};

use crate::config::{FieldSource, SyncDef};
use crate::diff::{Budget, DiffError, Repeats, Scratch};
use crate::mapping::Form;

/// Looks at the match value of every row. NULL matches nothing; a value that `as` refuses is a rejected row.
pub struct MatchValues {
    place: usize,
    form: Option<Form>,
    seed: u64,
    repeats: Repeats,
    scratch: Scratch,
    encoded: Vec<u8>,
}

impl MatchValues {
    /// Of a sync whose match field is a column other than its key; `None` for any other. A constant or a template is not
    /// looked at.
    pub(crate) fn of(sync: &SyncDef, projection: &Projection, memory: u64, scratch: Scratch) -> Option<Self> {
        let (place, _) = sync.shape.match_field.as_ref()?;
        let field = sync.fields.get(*place)?;
        let FieldSource::Column(column, _) = &field.source else { return None };
        let is_key = matches!(sync.model.key.as_slice(), [(key, _)] if key == column);
        if is_key && field.normalise.is_none() {
            return None;
        }
        Some(Self {
            place: projection.columns.iter().position(|known| known == column)?,
            form: Form::of(field, &projection.columns),
            seed: projection.seed,
            repeats: Repeats::new(Budget::new(memory, 0)),
            scratch,
            encoded: Vec::new(),
        })
    }

    /// Looks at the rows of a page.
    ///
    /// # Errors
    /// The page cannot be read, or a scratch file cannot be written.
    pub fn page(&mut self, page: &dyn RowPage) -> Result<(), DiffError> {
        for row in 0..page.rows() {
            let mut value = page.value(row, self.place)?;
            if let Some(form) = &self.form {
                let country = form.country_column().map(|place| page.value(row, place)).transpose()?;
                let Ok(normal) = form.apply(&value, || Ok(country.unwrap_or(Value::Null))) else { continue };
                value = normal;
            }
            if value.is_null() {
                continue;
            }
            self.encoded.clear();
            self.encoded.extend_from_slice(value.to_text().as_bytes());
            self.repeats.push(KeyHash::of(&self.encoded, self.seed), &*self.scratch)?;
        }
        Ok(())
    }

    /// Tells repeated values.
    ///
    /// # Errors
    /// [`DiffError::DuplicateMatchValues`] where there are any; a scratch file cannot be read.
    pub fn finish(self) -> Result<(), DiffError> {
        match self.repeats.repeated(0)? {
            (0, _) => Ok(()),
            (count, _) => Err(DiffError::DuplicateMatchValues { count }),
        }
    }
}
