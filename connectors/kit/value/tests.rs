//! Tests of values: their encoding comes back, and what they look like.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let text = || ".{0,20}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "-?[0-9]{1,20}(\\.[0-9]{0,20})?".prop_map(Value::Decimal),
        "[1-9][0-9]{0,30}".prop_map(Value::Number),
        (-1e300..1e300).prop_map(Value::Float),
        text().prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Time),
        any::<i64>().prop_map(Value::Timestamp),
        any::<i64>().prop_map(Value::LocalTimestamp),
        any::<(i32, i32, i64)>().prop_map(|(months, days, micros)| Value::Interval { months, days, micros }),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        Just(Value::Json(r#"{"a": [1, null]}"#.into())),
        text().prop_map(Value::Invalid),
    ];
    leaf.prop_recursive(3, 12, 4, |item| proptest::collection::vec(item, 0..4).prop_map(Value::Array))
}

fn any_field() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        1 => Just(FieldValue::Skip),
        1 => Just(FieldValue::Clear),
        8 => any_value().prop_map(FieldValue::Set),
    ]
}

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

proptest! {
    #[test]
    fn fields_come_back_and_look_the_same_in_place(fields in proptest::collection::vec(any_field(), 0..8)) {
        let encoded: Fields = fields.iter().cloned().collect();
        prop_assert_eq!(&encoded, &fields.iter().collect());
        prop_assert_eq!(encoded.len(), fields.len());
        prop_assert_eq!(&encoded.iter().map(FieldValue::from).collect::<Vec<_>>(), &fields);
        for (place, (field, owned)) in encoded.iter().zip(&fields).enumerate() {
            prop_assert_eq!(encoded.get(place), Some(FieldRef::from(owned)));
            if let (Some(value), FieldValue::Set(owned)) = (field.value(), owned) {
                let mut out = Vec::new();
                value.write_json(&mut out);
                prop_assert_eq!(&out, &json(owned).into_bytes());
                out.clear();
                let mut encoding = encoded.encodings().nth(place).expect("a field");
                prop_assert_eq!(write_field_json(&mut encoding, &mut out), Some(true));
                prop_assert_eq!((out, encoding.len()), (json(owned).into_bytes(), 0));
                prop_assert_eq!(value.to_text(), owned.to_text());
            }
        }
        // As a part of something longer.
        let mut whole = vec![7; 3];
        whole.extend_from_slice(encoded.encoded());
        whole.push(9);
        let whole = Bytes::from(whole);
        let mut input = &whole[3..];
        prop_assert_eq!(Fields::decode(fields.len(), &mut input, &whole), Some(encoded));
        prop_assert_eq!(input, &[9]);
    }

    #[test]
    fn any_bytes_are_fields_or_refused(
        bytes in proptest::collection::vec(prop_oneof![0u8..20, any::<u8>()], 0..40),
        len in 0usize..6,
    ) {
        let whole = Bytes::from(bytes);
        let (mut input, mut rest) = (&whole[..], &whole[..]);
        let fields = Fields::decode(len, &mut input, &whole);
        let one_by_one: Option<Vec<FieldRef<'_>>> = (0..len).map(|_| FieldRef::decode(&mut rest)).collect();
        prop_assert_eq!(fields.as_ref().map(|fields| fields.iter().collect()), one_by_one);
    }

    #[test]
    fn json_is_what_a_json_library_makes_of_it(text in ".{0,30}", n: i64, f: f64) {
        prop_assert_eq!(json(&Value::Text(text.clone())), serde_json::to_string(&text).expect("text"));
        prop_assert_eq!(json(&Value::Float(f)), serde_json::to_string(&f).expect("a double"));
        prop_assert_eq!(Value::Int(n).to_text(), n.to_string());
    }

    #[test]
    fn times_are_written_as_iso_8601(micros in -62_200_000_000_000_000i64..253_402_207_200_000_000, whole: bool) {
        let micros = if whole { micros / 1_000_000 * 1_000_000 } else { micros };
        let moment = jiff::Timestamp::from_microsecond(micros).expect("a moment");
        prop_assert_eq!(Value::Timestamp(micros).to_text(), moment.to_string());
        let local = jiff::tz::Offset::UTC.to_datetime(moment);
        prop_assert_eq!(Value::LocalTimestamp(micros).to_text(), local.to_string());
        let days = i32::try_from(micros.div_euclid(86_400_000_000)).expect("a day");
        prop_assert_eq!(Value::Date(days).to_text(), local.date().to_string());
        prop_assert_eq!(Value::Time(micros.rem_euclid(86_400_000_000)).to_text(), local.time().to_string());
    }
}

#[test]
fn numbers_that_readers_would_round_are_text() {
    for (value, expected) in [
        (Value::Int(1 << 53), "9007199254740992"),
        (Value::Int((1 << 53) + 1), "\"9007199254740993\""),
        (Value::Int(i64::MIN), "\"-9223372036854775808\""),
        (Value::Decimal("-0.50".into()), "-0.50"),
        (Value::Decimal("123456789012345".into()), "123456789012345"),
        (Value::Decimal("1234567890123456".into()), "\"1234567890123456\""),
        (Value::Decimal("12.3400000000000000".into()), "\"12.3400000000000000\""),
        (Value::Decimal("007".into()), "\"007\""),
        (Value::Decimal(".5".into()), "\".5\""),
        (Value::Decimal("5.".into()), "\"5.\""),
        (Value::Decimal("-".into()), "\"-\""),
        (Value::Decimal(String::new()), "\"\""),
        (Value::Decimal("1e5".into()), "\"1e5\""),
        (Value::Decimal("0.000001".into()), "0.000001"),
        (Value::Number("12345678901234567890".into()), "12345678901234567890"),
        (Value::Float(f64::NAN), "null"),
    ] {
        assert_eq!(json(&value), expected);
    }
}

#[test]
fn other_values_have_one_form_each() {
    let interval = |months, days, micros| Value::Interval { months, days, micros };
    for (value, expected) in [
        (Value::Bytes(vec![1, 2, 255]), "AQL/"),
        (Value::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
        (Value::Date(2_932_896), "9999-12-31"),
        (Value::Date(-1), "1969-12-31"),
        (Value::Date(i32::MAX), ""),
        (Value::Timestamp(-1), "1969-12-31T23:59:59.999999Z"),
        (Value::Timestamp(i64::MAX), ""),
        (Value::Time(1), "00:00:00.000001"),
        (interval(0, 0, 0), "PT0S"),
        (interval(14, -3, 0), "P1Y2M-3D"),
        (interval(0, 0, -500_000), "PT-0.5S"),
        (interval(0, 1, 3_661_000_100), "P1DT1H1M1.0001S"),
        (Value::Array(vec![Value::Int(1), Value::Null, Value::Text("a\"b".into())]), r#"[1,null,"a\"b"]"#),
    ] {
        assert_eq!(value.to_text(), expected, "{value:?}");
    }
}

#[test]
fn a_list_in_a_list_without_end_is_refused() {
    let deep = [16, 1].repeat(100_000);
    assert_eq!(Value::decode(&mut deep.as_slice()), None);
}
