use super::*;
use crate::cli::runs::tests::at;
use backhaul_kit::{Reason, Value};

fn reject(id: i64, class: RejectClass, attempts: u64, next: Option<&str>) -> Reject {
    let key = key::encode(&[&Value::Text(format!("{id}-anna@example.com"))]).expect("a key");
    Reject {
        sync: "vip-crm".into(),
        key_hash: KeyHash::of(&key, 7),
        key,
        fingerprint: 1,
        class,
        reason: Reason {
            code: "INVALID_EMAIL".into(),
            text: "Email address anna@@example.com is \"bad\"".into(),
            field: Some("email".into()),
        },
        attempts,
        first_seen: at("2026-11-18T12:00:00Z"),
        last_seen: at("2026-11-20T11:55:00Z"),
        run: "20261120T115500-7f3a".into(),
        next_at: next.map(at),
        resolution: None,
    }
}

fn rows() -> Vec<Reject> {
    vec![
        reject(1, RejectClass::Destination, 1, None),
        reject(2, RejectClass::Destination, 5, Some("2026-11-20T13:55:00Z")),
        reject(3, RejectClass::InDoubt, 1, None),
    ]
}

#[test]
fn rows_are_listed_masked_with_their_causes_and_next_tries() {
    let cause = |class, rows| RejectCode {
        sync: "vip-crm".into(),
        class,
        code: "INVALID_EMAIL".into(),
        field: Some("email".into()),
        rows,
    };
    let listing = Listing {
        causes: vec![cause(RejectClass::Destination, 1204), cause(RejectClass::InDoubt, 1)],
        rejects: rows().iter().map(|row| RejectView::of(row, false, false)).collect(),
        sync: Some("vip-crm".into()),
    };
    let text = list_text(&listing, Format::Human, at("2026-11-20T12:00:00Z"));
    assert!(!text.contains("anna") && !text.contains("example"));
    insta::assert_snapshot!(text);
}

#[test]
fn one_row_is_shown_masked_unless_it_is_to_be_revealed() {
    let now = at("2026-11-20T12:00:00Z");
    let show = |reveal| {
        let rejects = rows()[1..2].iter().map(|row| RejectView::of(row, reveal, true)).collect();
        shown_text(&Shown { rejects }, now)
    };
    assert!(!show(false).contains("anna") && show(true).contains("2-anna@example.com"));
    insta::assert_snapshot!(show(false));
}

#[test]
fn exports_hold_everything_and_no_formulas() {
    let line: serde_json::Value =
        serde_json::from_str(jsonl(&rows()[..1]).expect("JSON").trim_end()).expect("one line of JSON");
    assert_eq!(line["key"], "1-anna@example.com");
    let text = csv(&rows()[..1]);
    assert!(text.ends_with(
        "\n1-anna@example.com,destination,INVALID_EMAIL,email,\"Email address anna@@example.com is \"\"bad\"\"\",\
         1,2026-11-18T12:00:00Z,2026-11-20T11:55:00Z,20261120T115500-7f3a\n"
    ));
    assert_eq!(csv_cell("=cmd()"), "\"'=cmd()\"");
}

#[test]
fn an_export_never_replaces_a_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bad.csv");
    write_private(&path, b"x").expect("written");
    assert!(write_private(&path, b"y").is_err());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
}
