//! What requests look like.

use backhaul_kit::contract::{canary_kit, row, run};
use backhaul_kit::{Address, Batch, ChangeKind, FieldValue, Operation, RequestPreview, Row, Run, Value};

use super::prepared;

const ACCOUNT: &str = "[account]\nurl = \"https://api.example.com/v2\"\nheaders = { X-Team = \"growth\" }\n";

fn preview_of(into: &str, fields: &[&str], run: &Run, rows: Vec<Row>) -> Result<RequestPreview, String> {
    let text = format!(
        "{ACCOUNT}[into]\nremoved = \"delete\"\n{into}\n[into.remove]\nurl = \"/gone/{{{{ key }}}}\"\nsuccess = {{ evidence = \"call\" }}\n"
    );
    let destination = prepared(&text, fields).open(canary_kit(".".as_ref())).map_err(|f| f.to_string())?;
    let operation = if rows[0].change == ChangeKind::Remove { Operation::Delete } else { Operation::Upsert };
    let batch = Batch { operation, seq: 0, last: false, rows };
    let mut previews = destination.preview(run, &batch).map_err(|f| f.to_string())?;
    assert_eq!(previews.len(), 1);
    Ok(previews.remove(0))
}

fn preview(into: &str, fields: &[&str], rows: Vec<Row>) -> RequestPreview {
    preview_of(into, fields, &run(), rows).expect("rendered")
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn header<'a>(preview: &'a RequestPreview, name: &str) -> Option<&'a str> {
    preview.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

const CALL: &str = "success = { evidence = \"call\" }";

#[test]
fn a_row_is_a_json_object_with_its_fields_nested() {
    let values = [text("a\"b@example.com"), text("Köln"), Value::Int(i64::MAX)].map(FieldValue::Set);
    let fields = values.into_iter().chain([FieldValue::Skip, FieldValue::Clear]).collect();
    let one = Row { fields, ..row(1, 42, vec![Value::Null]) };
    let fields = ["email", "address.city", "points", "skipped", "cleared"];
    let shown = preview(&format!("[into.request]\nurl = \"/rows\"\n{CALL}"), &fields, vec![one.clone()]);
    assert_eq!((shown.method.as_str(), shown.target.as_str()), ("POST", "https://api.example.com/v2/rows"));
    assert_eq!(
        shown.body,
        r#"{"email":"a\"b@example.com","address":{"city":"Köln"},"points":"9223372036854775807","cleared":null}"#
    );
    assert_eq!(header(&shown, "content-type"), Some("application/json"));
    assert_eq!(header(&shown, "x-team"), Some("growth"));
    let keyed = preview(&format!("[into.request]\nurl = \"/rows\"\nkey_field = \"id\"\n{CALL}"), &["email"], vec![one]);
    assert_eq!(keyed.body, r#"{"id":"42","email":"a\"b@example.com"}"#);
    let bare = preview(
        &format!("[into.request]\nurl = \"/rows\"\nkey_field = \"id\"\n{CALL}"),
        &[],
        vec![Row { change: ChangeKind::Add, ..row(1, 42, Vec::new()) }],
    );
    assert_eq!(bare.body, r#"{"id":"42"}"#);
}

#[test]
fn rows_are_an_array_perhaps_in_an_object() {
    let rows = || vec![row(1, 1, vec![text("a")]), row(2, 2, vec![text("b")])];
    let request = format!("[into.request]\nurl = \"/rows\"\nbatch_size = 2\n{CALL}");
    assert_eq!(preview(&request, &["e"], rows()).body, r#"[{"e":"a"},{"e":"b"}]"#);
    let enclosed = format!("{request}\nrows_field = \"cust\\\"omers\"\nkey_field = \"id\"");
    let body = preview(&enclosed, &["e"], rows()).body;
    assert_eq!(body, r#"{"cust\"omers":[{"id":"1","e":"a"},{"id":"2","e":"b"}]}"#);
    // A last batch of one row has the same form.
    let one = preview(&request, &["e"], vec![row(1, 1, vec![text("a")])]);
    assert_eq!(one.body, r#"[{"e":"a"}]"#);
}

#[test]
fn values_are_escaped_for_where_they_stand() {
    let nasty = "a/b?c=d&e \"f\" <g> é";
    let rows = || vec![row(1, 7, vec![text(nasty)])];
    let request = "[into.request]\nurl = \"/people/{{ fields.name }}?by={{ keys.customer_id }}\"\nmethod = \"PUT\"";
    let json = preview(&format!("{request}\nbody = '{{\"n\": {{{{ fields.name }}}}}}'\n{CALL}"), &["name"], rows());
    assert_eq!(json.target, "https://api.example.com/v2/people/a%2Fb%3Fc%3Dd%26e%20%22f%22%20%3Cg%3E%20%C3%A9?by=7");
    let parsed: serde_json::Value = serde_json::from_str(&json.body).expect("JSON");
    assert_eq!(parsed["n"], nasty);
    let form = "headers = { Content-Type = \"application/x-www-form-urlencoded\" }\nbody = 'n={{ fields.name }}&m=1'";
    let form = preview(&format!("{request}\n{form}\n{CALL}"), &["name"], rows());
    assert_eq!(form.body, "n=a%2Fb%3Fc%3Dd%26e%20%22f%22%20%3Cg%3E%20%C3%A9&m=1");
    let xml = "headers = { Content-Type = \"text/xml; charset=utf-8\" }\nbody = '<n>{{ fields.name }}</n>'";
    let xml = preview(&format!("{request}\n{xml}\n{CALL}"), &["name"], rows());
    assert!(xml.body.contains("&lt;g&gt;") && !xml.body.contains("<g>"), "{}", xml.body);
}

#[test]
fn a_row_that_would_lead_elsewhere_is_not_sent() {
    let request = format!("[into.request]\nurl = \"/people/{{{{ fields.name }}}}\"\n{CALL}");
    for name in ["", ".", ".."] {
        let shown = preview_of(&request, &["name"], &run(), vec![row(1, 7, vec![text(name)])]);
        assert!(shown.is_err(), "{name:?} became {shown:?}");
    }
    assert!(preview_of(&request, &["name"], &run(), vec![row(1, 7, vec![Value::Null])]).is_err());
    assert!(preview_of(&request, &["name"], &run(), vec![row(1, 7, vec![text("..x")])]).is_ok());
}

#[test]
fn a_template_that_makes_broken_json_or_lacks_a_value_is_not_sent() {
    let quoted = format!("[into.request]\nurl = \"/a\"\nbody = '{{\"n\": \"{{{{ key }}}}\"}}'\n{CALL}");
    let fault = preview_of(&quoted, &["name"], &run(), vec![row(1, 7, vec![text("x")])]).expect_err("not JSON");
    assert!(fault.contains("is not JSON"), "{fault}");
    let missing = format!("[into.request]\nurl = \"/a/{{{{ remote_id }}}}\"\n{CALL}");
    assert!(preview_of(&missing, &["name"], &run(), vec![row(1, 7, vec![text("x")])]).is_err());
}

#[test]
fn removals_are_found_by_key_or_by_what_is_remembered() {
    let request = format!("[into.request]\nurl = \"/rows\"\n{CALL}");
    let removal =
        Row { address: Address { remote_id: Some("rec/1".into()), match_value: None }, ..row(9, 42, Vec::new()) };
    let shown = preview(&request, &["e"], vec![removal]);
    assert_eq!((shown.method.as_str(), shown.target.as_str()), ("DELETE", "https://api.example.com/v2/gone/42"));
    assert_eq!(shown.body, "");
    assert_eq!(header(&shown, "content-type"), None);
}

#[test]
fn too_many_bytes_are_cut_or_refused() {
    let request = format!("[into.request]\nurl = \"/a\"\nbatch_size = 5\nmax_bytes = 40\n{CALL}");
    let rows: Vec<Row> = (1..=5).map(|id| row(1, id, vec![text("0123456789")])).collect();
    assert!(preview_of(&request, &["n"], &run(), rows).expect_err("cut").contains("cannot be written as one request"));
    let long = vec![row(1, 1, vec![text(&"x".repeat(50))])];
    assert!(preview_of(&request, &["n"], &run(), long).expect_err("refused").contains("more than 40"));
}

#[test]
fn an_idempotency_key_is_the_calls_own() {
    let key = |lines: &str, run: &Run, rows: Vec<Row>| {
        let request = format!(
            "[into.request]\nurl = \"/a\"\nbatch_size = 5\n{CALL}\nidempotency = {{ header = \"Idempotency-Key\"{lines} }}"
        );
        let shown = preview_of(&request, &["n"], run, rows).expect("rendered");
        header(&shown, "idempotency-key").expect("the header").to_owned()
    };
    let rows = || vec![row(1, 1, vec![text("a")]), row(2, 2, vec![text("b")])];
    let next_run = Run { id: "run-2".into(), ..run() };
    let other_sync = Run { sync: "other".into(), ..run() };
    let first = key("", &run(), rows());
    assert_eq!(first.len(), 64);
    assert_eq!(first, key("", &run(), rows()), "the same call");
    assert_ne!(first, key("", &run(), rows()[..1].to_vec()), "half of the batch");
    assert_ne!(first, key("", &other_sync, rows()), "another sync");
    let mut changed = rows();
    changed[1].fingerprint += 1;
    assert_ne!(first, key("", &run(), changed), "another value");
    assert_ne!(first, key("", &next_run, rows()), "a later run must not get an old answer");
    let by_value = ", per = \"value\"";
    assert_eq!(key(by_value, &run(), rows()), key(by_value, &next_run, rows()));
}
