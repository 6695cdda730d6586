//! Who a row is: forms, hashes, and what is kept of them.

use backhaul_kit::FieldRef;

use super::*;
use crate::destinations::meta::person::{COLUMNS, Column, remembered};

fn named(name: &str) -> &'static Column {
    COLUMNS.iter().find(|column| column.name == name).expect("a column")
}

/// The cell of a value, or the code of its refusal.
fn cell(name: &str, value: &Value) -> Result<String, String> {
    let field = FieldValue::Set(value.clone());
    let cell = named(name).cell(FieldRef::from(&field), false).map_err(|reason| reason.code)?;
    Ok(cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
}

fn of_text(name: &str, text: &str) -> Result<String, String> {
    cell(name, &Value::Text(text.into()))
}

/// Meta's own examples are those of its pages; the others were computed with SHA-256 over the form.
#[test]
fn hashes_are_those_of_metas_examples() {
    for (name, text, starts) in [
        ("EMAIL", " John_Smith@gmail.com ", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
        ("PHONE", "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        ("FN", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("FN", "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("LN", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("COUNTRY", "DE", "959a45d44e6fcf58361ed004681556fe50129f2109e817dec098c00c9e5d2578"),
        ("ZIP", "10115", "ac7bb74de6884ffce919c15fef4193749d4588026c643973946713ac46da540d"),
    ] {
        assert_eq!(of_text(name, text).as_deref(), Ok(starts), "{name} {text}");
    }
}

#[test]
fn values_that_are_the_same_in_metas_form_are_one_hash() {
    let date = Value::Date(7_441); // 1990-05-17
    for (name, one, other) in [
        ("GEN", Value::Text("M".into()), Value::Text(" m".into())),
        ("DOBY", date.clone(), Value::Int(1990)),
        ("DOBM", date.clone(), Value::Text("5".into())),
        ("DOBD", date, Value::Text("17".into())),
        ("CT", Value::Text("São Paulo".into()), Value::Text("são  paulo".into())),
        ("ST", Value::Text("CA".into()), Value::Text("c.a.".into())),
        ("ZIP", Value::Text("94025-1234".into()), Value::Int(94_025)),
        ("ZIP", Value::Text("SW1A 1AA".into()), Value::Text("sw1a1aa".into())),
        ("FI", Value::Text("Émile".into()), Value::Text("é".into())),
        ("FN", Value::Text("O’Neil".into()), Value::Text("oneil".into())),
    ] {
        let (one, other) = (cell(name, &one).expect("a cell"), cell(name, &other).expect("a cell"));
        assert_eq!(one, other, "{name}");
        assert_eq!(one.len(), 64, "{name}");
    }
    assert_ne!(of_text("ZIP", "1000-001"), of_text("ZIP", "1000001"), "a dash of another country is kept");
    assert_eq!(of_text("MADID", "AB12-cd34").as_deref(), Ok("ab12-cd34"));
    assert_eq!(of_text("EXTERN_ID", " A b=1&c ").as_deref(), Ok("A b=1&c"));
}

#[test]
fn what_has_no_form_is_refused_with_its_field() {
    let hash = "a".repeat(64);
    for (name, text, code) in [
        ("EMAIL", "ann", "INVALID_EMAIL"),
        ("EMAIL", &hash, "ALREADY_HASHED"),
        ("PHONE", "030 1234567", "INVALID_PHONE"),
        ("FN", &hash, "ALREADY_HASHED"),
        ("GEN", "diverse", "INVALID_GENDER"),
        ("DOBY", "90", "INVALID_BIRTH"),
        ("DOBM", "13", "INVALID_BIRTH"),
        ("DOBD", "1990-05-32", "INVALID_BIRTH"),
        ("COUNTRY", "Germany", "INVALID_COUNTRY"),
        ("MADID", "00000000-0000-0000-0000-000000000000", "INVALID_MADID"),
        ("MADID", "phone of ann", "INVALID_MADID"),
        ("EXTERN_ID", "a\nb", "INVALID_EXTERN_ID"),
        ("DATA_PROCESSING_OPTIONS", "maybe", "INVALID_OPTIONS"),
        ("DATA_PROCESSING_OPTIONS_STATE", "CA", "INVALID_OPTIONS"),
    ] {
        assert_eq!(of_text(name, text), Err(code.to_owned()), "{name} {text}");
    }
    assert_eq!(cell("EMAIL", &Value::Bool(true)), Err("INVALID_TYPE".into()));
    assert_eq!(cell("PHONE", &Value::Float(1.0)), Err("INVALID_TYPE".into()));
    let field = text_field("ann");
    let reason = named("EMAIL").cell(FieldRef::from(&field), false).expect_err("refused");
    assert_eq!(reason.field.as_deref(), Some("EMAIL"));
}

#[test]
fn limited_data_use_holds_for_whom_nothing_is_known() {
    let options = |value| cell("DATA_PROCESSING_OPTIONS", &value);
    for limited in [Value::Null, Value::Bool(true), Value::Text("ldu".into())] {
        assert_eq!(options(limited).as_deref(), Ok("[\"LDU\"]"));
    }
    for free in [Value::Bool(false), Value::Text(String::new())] {
        assert_eq!(options(free).as_deref(), Ok("[]"));
    }
    assert_eq!(cell("DATA_PROCESSING_OPTIONS_STATE", &Value::Int(1000)).as_deref(), Ok("1000"));
    assert_eq!(cell("DATA_PROCESSING_OPTIONS_COUNTRY", &Value::Null).as_deref(), Ok("0"));
}

#[tokio::test]
async fn hashes_go_out_as_they_are_where_they_are_declared() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::with(&sandbox.url(), "", "hashed = [\"EMAIL\"]", &["EXTERN_ID", "EMAIL"], TOKEN);
    let row = |email: &str| (Address::default(), vec![text_field("7"), text_field(email)]);
    let verdicts =
        bench.verdicts(&batch(Operation::AudienceAdd, 1, true, vec![row(&"AB".repeat(32)), row("a@b.de")])).await;
    assert_eq!((&verdicts[0], code(&verdicts[1])), (&written(), "INVALID_HASH"));
    assert_eq!(members(&*sandbox), [json!({ "EXTERN_ID": "7", "EMAIL": "ab".repeat(32) })]);
}

/// The lines of a row's address with the hashes cut short, and who is taken out for it.
fn kept(fields: &[&str], values: &[&str]) -> (Vec<String>, Vec<Vec<String>>) {
    let bench = Bench::open("http://127.0.0.1:9", fields);
    let values: Vec<FieldValue> = values.iter().map(|value| text_field(value)).collect();
    let address = bench.address(&values);
    (address.hashes().map(str::to_owned).collect(), taken_out(&address))
}

fn taken_out(address: &Address) -> Vec<Vec<String>> {
    let short = |(key, value): (usize, &str)| format!("{}={}", COLUMNS[key].name, &value[..value.len().min(4)]);
    remembered(address, "").into_iter().map(|known| known.into_iter().map(short).collect()).collect()
}

#[test]
fn a_person_is_taken_out_by_all_that_was_sent() {
    let (lines, out) = kept(&["FN", "EMAIL", "EXTERN_ID", "COUNTRY"], &["Mary", "a@b.de", "x=1&y", "DE"]);
    assert_eq!(lines.len(), 3, "e-mail address and id can be another's too, the rest cannot: {lines:?}");
    assert!(lines[1] == "EXTERN_ID=x=1&y" && lines[2].starts_with('&'), "{lines:?}");
    let email = of_text("EMAIL", "a@b.de").expect("a hash");
    assert_eq!(
        out,
        [[format!("EMAIL={}", &email[..4]), "EXTERN_ID=x=1&".into(), "FN=6915".into(), "COUNTRY=959a".into()]]
    );
    let (lines, out) = kept(&["FN", "LN"], &["Mary", "정"]);
    assert_eq!((lines.len(), out), (1, vec![vec!["FN=6915".to_owned(), "LN=8fa8".to_owned()]]));
}

#[test]
fn what_another_member_has_too_stays_and_the_rest_alone_takes_nobody_out() {
    let of = |value: &str| Address { remote_id: None, match_value: Some(value.to_owned()) };
    assert_eq!(taken_out(&of("PHONE=1234\n&d&FN=aaaa")), [["PHONE=1234", "FN=aaaa"]]);
    assert_eq!(taken_out(&of("&d&FN=aaaa")), Vec::<Vec<String>>::new());
    assert_eq!(taken_out(&Address::default()), Vec::<Vec<String>>::new());
    // Nobody knows which of two forms was sent: both go.
    let both = of("EMAIL=aaaa\nPHONE=1234\n&d&FN=aaaa\nEMAIL=bbbb\n&e&FN=bbbb");
    assert_eq!(taken_out(&both), [["EMAIL=aaaa", "PHONE=1234", "FN=aaaa"], ["EMAIL=bbbb", "PHONE=1234", "FN=bbbb"]]);
}

#[test]
fn a_changed_row_gives_up_only_what_it_no_longer_has() {
    let of = |value: &str| Address { remote_id: None, match_value: Some(value.to_owned()) };
    let given_up = |old: &str, new: &str| {
        let old = of(old);
        remembered(&old, new)
            .into_iter()
            .map(|known| known.into_values().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(given_up("EMAIL=a\nPHONE=1\n&d&FN=x", "EMAIL=b\nPHONE=1\n&e&FN=x"), ["a x"]);
    // Another name of the same e-mail address is put in, and nobody is taken out.
    assert_eq!(given_up("EMAIL=a\n&d&FN=x", "EMAIL=a\n&e&FN=y"), [""; 0]);
    assert_eq!(given_up("FN=x&LN=y", "FN=x&LN=z"), ["x y"]);
}

#[tokio::test]
async fn nothing_is_sent_of_a_person_who_is_another_member_too() {
    let bench = Bench::open("http://127.0.0.1:9", FIELDS);
    let rest = Address { remote_id: None, match_value: Some("&d&FN=aaaa".into()) };
    let verdicts = bench.verdicts(&batch(Operation::AudienceRemove, 1, true, vec![(rest, Vec::new())])).await;
    assert_eq!(verdicts, [Verdict::Unchanged]);
}

#[test]
fn a_row_that_is_nobody_is_refused_and_leaves_no_address() {
    let bench = Bench::open("http://127.0.0.1:9", &["EMAIL", "FN", "COUNTRY"]);
    let values = [FieldValue::Skip, text_field("Mary"), text_field("DE")];
    assert_eq!(bench.address(&values), Address::default());
    let shown = bench
        .destination
        .preview(&run(), &batch(Operation::AudienceAdd, 1, true, vec![(Address::default(), values.to_vec())]));
    assert_eq!(shown.expect("nothing to show"), []);
}
