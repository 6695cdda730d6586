//! A mapping that refuses rows which fail a check.

use backhaul_kit::{FieldValue, Reason, Value};

use super::{is_screened, row};
use crate::config::{Check, OnBadRow};
use crate::diff::{Reference, RowMapper};
use crate::mapping::Mapper;

/// The mapping of a sync, in front of it the checks that skip rows.
pub struct Screened {
    mapper: Mapper,
    /// Each with its column's place in the record.
    checks: Vec<(usize, Check)>,
}

impl Screened {
    /// Puts those of the checks that skip rows in front of the mapping, for records with these columns.
    pub fn new(mapper: Mapper, checks: &[Check], on_bad_row: Option<OnBadRow>, columns: &[String]) -> Self {
        let skipping = checks.iter().filter(|check| is_screened(check, on_bad_row));
        let placed = skipping.filter_map(|check| {
            let place = columns.iter().position(|column| Some(column.as_str()) == check.kind.column())?;
            Some((place, check.clone()))
        });
        let checks = placed.collect();
        Self { mapper, checks }
    }
}

impl RowMapper for Screened {
    fn fields(&self) -> &[String] {
        self.mapper.fields()
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        for (place, check) in &self.checks {
            if row::fails(&check.kind, record.get(*place).unwrap_or(&Value::Null)) {
                let column = check.kind.column().unwrap_or_default();
                let text = format!("column `{column}` {}", row::complaint(&check.kind));
                return Err(Reason::new(format!("check:{}", check.kind.name()), text));
            }
        }
        self.mapper.map(record)
    }

    fn references(&self) -> &[Reference] {
        self.mapper.references()
    }

    fn settle(&self, place: usize, value: Value) -> FieldValue {
        self.mapper.settle(place, value)
    }
}
