//! A cell as a typed value, or as a part of a key.

use std::collections::BTreeSet;

use arrow_array::Array;
use backhaul_kit::value::write_json_str;
use backhaul_kit::{KeyError, Value, key};

use super::super::sound;
use super::Form;
use super::cells::{Cell, each};

/// The value of one row. `None` where the array has no such row, or is not of the form.
pub(super) fn value_at(array: &dyn Array, row: usize, form: &Form) -> Option<Value> {
    let mut found = None;
    each(array, row..row.checked_add(1)?, &mut |_, cell| {
        found = Some(value(&cell, form)?);
        Some(())
    })?;
    found
}

/// Appends a cell as a part of a key, the same as that of its value. `None` where the array is not of the form.
pub(super) fn put_key(cell: &Cell<'_>, form: &Form, out: &mut Vec<u8>) -> Option<Result<(), KeyError>> {
    match cell {
        Cell::Integer(n) => key::put_int(*n, out),
        Cell::Decimal(n, 0) => match i64::try_from(*n) {
            Ok(n) => key::put_int(n, out),
            Err(_) => key::put_decimal(&n.to_string(), out),
        },
        Cell::Text(text) if *form == Form::Text => key::put_text(text.as_bytes(), out),
        _ => return Some(key::put_value(&value(cell, form)?, out)),
    }
    Some(Ok(()))
}

fn value(cell: &Cell<'_>, form: &Form) -> Option<Value> {
    Some(match (cell, form) {
        (Cell::Null, _) => Value::Null,
        (Cell::Bool(b), _) => Value::Bool(*b),
        (Cell::Integer(n), _) => Value::Int(*n),
        (Cell::Large(n), _) => Value::Decimal(n.to_string()),
        (Cell::Single(f), _) => sound::single(*f),
        (Cell::Double(f), _) => sound::double(*f),
        (Cell::Decimal(n, scale), _) => Value::Decimal(plain(&n.to_string(), *scale)),
        (Cell::WideDecimal(n, scale), _) => Value::Decimal(plain(&n.to_string(), *scale)),
        (Cell::Text(text), Form::Json) => Value::Json((*text).to_owned()),
        (Cell::Text(text), _) => Value::Text((*text).to_owned()),
        (Cell::Bytes(bytes), Form::Uuid) => Value::Uuid((*bytes).try_into().ok()?),
        (Cell::Bytes(bytes), _) => Value::Bytes(bytes.to_vec()),
        (Cell::Days(days), _) => sound::date(*days),
        (Cell::Micros(micros), Form::Time) => sound::time(*micros),
        (Cell::Micros(micros), Form::Timestamp) => sound::timestamp(*micros, Value::Timestamp),
        (Cell::Micros(micros), Form::LocalTimestamp) => sound::timestamp(*micros, Value::LocalTimestamp),
        (Cell::Micros(micros), Form::Span) => Value::Interval { months: 0, days: 0, micros: *micros },
        (Cell::List(items, range), Form::List(of)) => {
            let mut values = Vec::with_capacity(range.len());
            each(*items, range.clone(), &mut |_, cell| {
                values.push(value(&cell, of)?);
                Some(())
            })?;
            match values.iter().find_map(reason) {
                Some(reason) => Value::Invalid(format!("an element is {reason}")),
                None => Value::Array(values),
            }
        }
        (Cell::Struct(members, row), Form::Struct(forms)) => {
            let mut object = Object::default();
            for ((name, form), column) in forms.iter().zip(members.columns()) {
                object.member(name, &value_at(column.as_ref(), *row, form)?);
            }
            object.end()
        }
        (Cell::Map(keys, values, range), Form::Map(of)) => {
            let mut object = Object::default();
            for row in range.clone() {
                // A key of a map is never NULL.
                let Value::Text(name) = value_at(*keys, row, &Form::Text)? else { return None };
                object.member(&name, &value_at(*values, row, of)?);
            }
            object.end()
        }
        _ => return None,
    })
}

/// A decimal in plain notation, with all digits of its scale.
fn plain(unscaled: &str, scale: i8) -> String {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |digits| ("-", digits));
    let places = usize::from(scale.unsigned_abs());
    match scale {
        0 => unscaled.to_owned(),
        ..0 if digits == "0" => String::from("0"),
        ..0 => format!("{unscaled}{:0<places$}", ""),
        1.. => {
            let digits = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

/// Why a value is none that a destination can take.
fn reason(value: &Value) -> Option<&str> {
    match value {
        Value::Invalid(reason) => Some(reason),
        _ => None,
    }
}

/// A JSON object, written member by member.
#[derive(Default)]
struct Object {
    json: Vec<u8>,
    names: BTreeSet<String>,
    invalid: Option<String>,
}

impl Object {
    fn member(&mut self, name: &str, value: &Value) {
        if let Some(reason) = reason(value) {
            self.invalid.get_or_insert_with(|| format!("a member is {reason}"));
        }
        if !self.names.insert(name.to_owned()) {
            self.invalid.get_or_insert_with(|| String::from("an object that has a name twice"));
        }
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        write_json_str(name, &mut self.json);
        self.json.push(b':');
        value.write_json(&mut self.json);
    }

    fn end(mut self) -> Value {
        if let Some(reason) = self.invalid {
            return Value::Invalid(reason);
        }
        if self.json.is_empty() {
            self.json.push(b'{');
        }
        self.json.push(b'}');
        match String::from_utf8(self.json) {
            Ok(json) => Value::Json(json),
            Err(_) => sound::invalid("text that is not UTF-8"),
        }
    }
}
