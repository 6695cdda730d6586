//! Rows as members: normal forms, hashes, and what is left out.

use super::*;

fn lines(fields: &[&str], into: &str, texts: &[&str]) -> String {
    let prepared = fixture::prepared(&GOOGLE_DATA_MANAGER, &text("http://127.0.0.1:1", into), &["id"], fields);
    let value = |text: &&str| if text.is_empty() { Value::Null } else { Value::Text((*text).to_owned()) };
    let fields: Vec<FieldValue> = texts.iter().map(|text| FieldValue::Set(value(text))).collect();
    prepared.hashes(&fields).expect("a destination that finds members by hashes")
}

#[test]
fn a_row_is_found_by_hashes_of_googles_normal_forms() {
    let both = format!("email {ANN}\nphone {PHONE}");
    assert_eq!(lines(FIELDS, "", &["Ann.Lee+Shop@Gmail.com", "+1 (650) 555-1212"]), both);
    let mary = "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec";
    let address = ["", "Mrs. Mary", "mary", "de", " SW1A  1AA "];
    assert_eq!(lines(ADDRESS, "", &address), format!("address {mary} {mary} DE SW1A 1AA"));
}

#[test]
fn what_is_no_identifier_is_left_out_and_the_rest_goes() {
    assert_eq!(lines(FIELDS, "", &["Ann.Lee+Shop@Gmail.com", "030 1234567"]), format!("email {ANN}"));
    assert_eq!(lines(ADDRESS, "", &["Ann.Lee+Shop@Gmail.com", "Ann", "Lee", "Atlantis", "1"]), format!("email {ANN}"));
    assert_eq!(lines(FIELDS, "", &["nobody", ""]), "");
}

#[test]
fn nothing_is_hashed_twice() {
    assert_eq!(lines(FIELDS, "", &[ANN, "+1 650 555 1212"]), "", "a hash that nobody declared is no identifier");
    let declared = "hashed = [\"email\"]";
    assert_eq!(lines(FIELDS, declared, &[&ANN.to_uppercase(), ""]), format!("email {ANN}"));
    assert_eq!(lines(FIELDS, declared, &["ann@example.com", ""]), "", "an address where a hash was declared");
}

#[tokio::test]
async fn rows_without_an_identifier_are_refused_and_make_no_call() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&*sandbox);
    let refused = bench.deliver(&adds(&[&["nobody", ""], &[ANN, "+1 650 555 1212"]])).await.expect("verdicts");
    assert_eq!(refused.iter().map(code).collect::<Vec<_>>(), ["NO_IDENTIFIERS", "ALREADY_HASHED"]);
    let unknown = batch(Operation::AudienceRemove, vec![row(10, ChangeKind::Remove, None, &[])]);
    assert_eq!(code(&bench.deliver(&unknown).await.expect("a verdict")[0]), "NO_ADDRESS");
    assert_eq!(sandbox.calls(), 0);
    // Beside others they do not keep these back.
    let mixed = bench.deliver(&adds(&[&["nobody", ""], &["ann@example.com", ""]])).await.expect("verdicts");
    assert_eq!((code(&mixed[0]), &mixed[1..]), ("NO_IDENTIFIERS", &written(1)[..]));
}

#[test]
fn a_preview_shows_hashes_and_no_person() {
    let bench = open_text(&text("http://127.0.0.1:1", ""), FIELDS, "{}");
    let preview = bench.destination.preview(&run(), &adds(&[&["Ann.Lee+Shop@Gmail.com", "+1 650 555 1212"]]));
    let shown = format!("{:?}", preview.expect("a preview"));
    assert!(shown.contains(ANN) && shown.contains(PHONE));
    assert!(!shown.to_lowercase().contains("gmail") && !shown.contains("650"), "{shown}");
}
