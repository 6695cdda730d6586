//! From a record to fields.

use backhaul_kit::{FieldValue, ObjectField, Reason, TypeClass, Value};

use super::{Mapper, classes};
use crate::config::tests::{customers, load, project_over_base};
use crate::diff::RowMapper as _;

const SYNC: &str = r#"
model = "customers"
destination = "hook"

[into]
mode = "append"
success = { evidence = "call" }

[fields]
"#;

fn mapper(fields: &str) -> Mapper {
    let folder = project_over_base(&[("syncs/customers.toml", &format!("{SYNC}{fields}"))]);
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", crate::config::render(&problems, false)));
    Mapper::compile(&project.syncs["customers"], &customers()).unwrap()
}

/// The type that the only field of a sync sends.
fn sent(field: &str) -> Option<TypeClass> {
    let folder = project_over_base(&[("syncs/customers.toml", &format!("{SYNC}out = {field}"))]);
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", crate::config::render(&problems, false)));
    classes(&project.syncs["customers"], &customers()).remove(0)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The only field of a sync, for a record with this one value beside its key.
fn one(field: &str, value: Value) -> Result<FieldValue, Reason> {
    mapper(&format!("out = {field}")).map(&[Value::Int(1), value]).map(|mut fields| fields.remove(0))
}

#[test]
fn a_field_sends_the_type_of_its_column_or_that_of_the_form() {
    assert_eq!(sent("'revenue'"), Some(TypeClass::Decimal));
    assert_eq!(sent("{ column = 'revenue', default = 0 }"), Some(TypeClass::Decimal));
    assert_eq!(sent("'tags'"), Some(TypeClass::Array(Box::new(TypeClass::Text))));
    for (form, class) in [("date", TypeClass::Date), ("timestamp", TypeClass::Timestamp), ("boolean", TypeClass::Bool)]
    {
        assert_eq!(sent(&format!("{{ column = 'city', as = '{form}' }}")), Some(class));
    }
    // Nobody knows before the values are there, or the vendor judges the text.
    for other in ["{ column = 'city', as = 'number' }", "{ template = '{{ revenue }}' }", "{ value = 5 }"] {
        assert_eq!(sent(other), None, "{other}");
    }
}

#[test]
fn a_field_takes_text_what_has_no_type_and_the_types_that_it_names() {
    use TypeClass as T;
    let array = |of: T| T::Array(Box::new(of));
    let taking = |accepts: Vec<T>| ObjectField { accepts, ..ObjectField::new("a", "native") };
    let numbers = taking(vec![T::Integer, T::Decimal]);
    for (class, takes) in [
        (T::Integer, true),
        (T::Decimal, true),
        (T::Text, true),
        (T::Any, true),
        (T::Float, false),
        (T::Bool, false),
        (T::Timestamp, false),
        (array(T::Integer), false),
    ] {
        assert_eq!(numbers.takes(&class), takes, "{class}");
    }
    assert!([T::Bytes, array(T::Bool)].iter().all(|class| taking(Vec::new()).takes(class)), "it takes all");
    let [any, dates] = [T::Any, T::Date].map(|of| taking(vec![array(of)]));
    assert!(any.takes(&array(T::Bool)) && !any.takes(&T::Bool));
    assert!(dates.takes(&array(T::Date)) && dates.takes(&array(T::Any)) && !dates.takes(&array(T::Bool)));
}

#[test]
fn the_projection_has_the_key_first_and_each_column_once() {
    let mapper =
        mapper("a = \"email\"\nb = { template = '{{ city }} {{ email }}' }\nc = \"customer_id\"\nd = \"city\"");
    let projection = mapper.projection(7);
    assert_eq!(projection.columns, ["customer_id", "email", "city"]);
    assert_eq!((projection.key, projection.seed), (vec![0], 7));
    assert_eq!(mapper.fields(), ["a", "b", "c", "d"]);
    let fields = mapper.map(&[Value::Int(9), text("a@b.c"), text("Köln")]).unwrap();
    let expected = [text("a@b.c"), text("Köln a@b.c"), Value::Int(9), text("Köln")].map(FieldValue::Set);
    assert_eq!(fields, expected);
}

#[test]
fn a_default_comes_after_normalising_and_before_the_null_policy() {
    assert_eq!(
        one("{ column = 'email', as = 'email', default = 'none' }", text("  ")),
        Ok(FieldValue::Set(text("none")))
    );
    assert_eq!(
        one("{ column = 'email', default = 'none', null = 'skip' }", Value::Null),
        Ok(FieldValue::Set(text("none")))
    );
    assert_eq!(one("{ column = 'email', as = 'email', null = 'skip' }", text(" ")), Ok(FieldValue::Skip));
    assert_eq!(one("{ column = 'email', null = 'clear' }", Value::Null), Ok(FieldValue::Clear));
    assert_eq!(one("'email'", Value::Null), Ok(FieldValue::Set(Value::Null)));
    assert_eq!(one("{ column = 'email', null = 'skip' }", text("x")), Ok(FieldValue::Set(text("x"))));
}

#[test]
fn constants_have_their_modifiers_applied_once() {
    let mapper = mapper(
        "a = { value = ' Ann@Example.com ', as = 'email' }\nb = { value = 2026-11-20 }\nc = { value = [1, true] }",
    );
    let fields = mapper.map(&[Value::Int(1)]).unwrap();
    let expected = [text("ann@example.com"), Value::Date(20_777), Value::Array(vec![Value::Int(1), Value::Bool(true)])];
    assert_eq!(fields, expected.map(FieldValue::Set));
}

#[cfg(feature = "phone")]
#[test]
fn telephone_numbers_are_read_as_they_are_dialled_in_a_country() {
    let sent = |number: &str| Ok(FieldValue::Set(text(number)));
    let german = "{ column = 'city', as = 'phone', country = 'de' }";
    assert_eq!(one(german, text("030 1234567")), sent("+49301234567"));
    assert_eq!(one(german, text("+1 650 555 1212")), sent("+16505551212"));
    assert_eq!(one(german, text(" ")), Ok(FieldValue::Set(Value::Null)));
    let reason = one(german, text("030 12")).unwrap_err();
    assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("INVALID_PHONE", Some("out")));

    let mapper = mapper("out = { column = 'city', as = 'phone', country = { column = 'plan' } }");
    assert_eq!(mapper.projection(7).columns, ["customer_id", "city", "plan"]);
    let dialled = |number: &str, country: Value| {
        mapper.map(&[Value::Int(1), text(number), country]).map(|mut fields| fields.remove(0))
    };
    assert_eq!(dialled("030 1234567", text("DE")), sent("+49301234567"));
    assert_eq!(dialled("06 12 34 56 78", text("fr")), sent("+33612345678"));
    assert_eq!(dialled("+49 30 1234567", Value::Null), sent("+49301234567"));
    assert!(dialled("030 1234567", Value::Null).is_err());
    assert!(dialled("030 1234567", text("Germany")).is_err());
}

#[test]
fn numbers_keep_every_digit() {
    let long = "12345678901234567890.1234567890";
    let decimal = || Value::Decimal(long.into());
    assert_eq!(one("'revenue'", decimal()), Ok(FieldValue::Set(decimal())));
    assert_eq!(
        one("{ column = 'revenue', as = 'number' }", decimal()),
        Ok(FieldValue::Set(Value::Number(long.into())))
    );
    assert_eq!(one("{ template = '{{ revenue }}' }", decimal()), Ok(FieldValue::Set(text(long))));
}

#[test]
fn a_value_that_cannot_be_sent_rejects_the_row_and_names_the_column() {
    for field in ["'score'", "{ template = '{{ score }}' }", "{ column = 'score', default = 0 }"] {
        let reason = one(field, Value::Invalid("NaN is no number of JSON".into())).unwrap_err();
        assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("NOT_SENDABLE", Some("out")), "{field}");
        assert!(reason.text.contains("`score`") && reason.text.contains("NaN"), "{}", reason.text);
    }
    let inside = Value::Array(vec![text("a"), Value::Invalid("no".into())]);
    assert_eq!(one("'tags'", inside).unwrap_err().code, "NOT_SENDABLE");
}

#[test]
fn a_value_that_has_no_such_form_rejects_the_row() {
    let reason = one("{ column = 'email', as = 'email' }", text("nobody")).unwrap_err();
    assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("INVALID_EMAIL", Some("out")));
    let reason = one("{ template = '{{ city | int }}' }", text("Köln")).unwrap_err();
    assert_eq!(reason.code, "TEMPLATE_FAILED");
}

#[test]
fn lists_that_do_not_fit_together_reject_the_row() {
    let mapper = mapper("'items[].tag' = 'tags'\n'items[].city' = 'city'");
    let tags = Value::Array(vec![text("a"), text("b")]);
    assert_eq!(mapper.map(&[Value::Int(1), tags, text("Köln")]).unwrap_err().code, "UNEQUAL_LISTS");
}

#[test]
fn a_record_that_is_too_short_is_refused_rather_than_sent_with_gaps() {
    assert_eq!(mapper("a = 'email'").map(&[Value::Int(1)]).unwrap_err().code, "NOT_SENDABLE");
}
