//! Rows on the stand-in.

use serde_json::json;

use super::*;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

fn upsert(rows: &[&[&str]]) -> Batch {
    batch(Operation::Upsert, rows)
}

#[tokio::test]
async fn who_is_new_gets_the_state_of_new_members_and_others_keep_theirs() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), NEW, FIELDS);
    assert_eq!(bench.verdicts(&upsert(&[&[ANN, "Ann", "free"], &[BOB, "Größe 🙂", ""]])).await, [written(), written()]);
    sandbox.set("unsubscribe", ANN).expect("a setting");
    assert_eq!(bench.verdicts(&upsert(&[&[ANN, "Ann", "pro"], &[BOB, "", "pro"]])).await, [written(), written()]);
    assert_eq!(member(&*sandbox, ANN), state("unsubscribed", "pro"), "an opt-out stays");
    assert_eq!(member(&*sandbox, BOB), state("subscribed", "pro"));
    assert_eq!(sandbox.records()["members"][BOB]["merge_fields"]["FNAME"], "", "NULL empties a merge field");
}

#[tokio::test]
async fn a_mapped_status_is_written_by_the_list_and_a_kept_opt_out_is_told() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), MEMBERS, STATED);
    let calls = sandbox.calls();
    let rows: [&[&str]; 5] = [
        &[ANN, "free", "subscribed", "vip"],
        &[BOB, "free", "pending", ""],
        &[EVE, "free", "odd", ""],
        &["dan@example.com", "free", "", ""],
        &["fake@example.com", "free", "subscribed", ""],
    ];
    let verdicts = bench.verdicts(&upsert(&rows)).await;
    assert_eq!(verdicts[..2], [written(), written()]);
    assert_eq!(reason(&verdicts[2]), ("INVALID_STATUS", Some("status")));
    assert_eq!(reason(&verdicts[3]), ("INVALID_STATUS", Some("status")));
    assert_eq!(reason(&verdicts[4]), ("ERROR_GENERIC", Some("email_address")));
    assert_eq!(sandbox.calls() - calls, 1);
    assert_eq!(
        (member(&*sandbox, ANN), member(&*sandbox, BOB)),
        (state("subscribed", "free"), state("pending", "free"))
    );
    assert_eq!(sandbox.records()["members"][ANN]["tags"], json!([{ "name": "vip" }]));
    sandbox.set("unsubscribe", ANN).expect("a setting");
    let verdicts = bench.verdicts(&upsert(&[&[ANN, "pro", "subscribed", ""]])).await;
    assert_eq!(reason(&verdicts[0]), ("STATUS_KEPT", Some("status")));
    assert_eq!(member(&*sandbox, ANN), state("unsubscribed", "pro"));
    assert_eq!(sandbox.records()["members"][ANN]["tags"], json!([]), "a tag that the row has no more is taken off");
}

#[tokio::test]
async fn a_refused_row_is_rejected_alone_with_its_field() {
    let sandbox = stand_in(&[("reject", "PLAN=gold")]).await;
    let rows: [&[&str]; 3] = [&[ANN, "Ann", "free"], &["fake@example.com", "", "free"], &[EVE, "", "gold"]];
    let verdicts = open(&sandbox.url(), NEW, FIELDS).verdicts(&upsert(&rows)).await;
    assert_eq!(verdicts[0], written());
    assert_eq!(reason(&verdicts[1]), ("Invalid Resource", Some("email_address")));
    assert_eq!(reason(&verdicts[2]), ("Invalid Resource", Some("merge_fields.PLAN")));
    let rows: [&[&str]; 2] = [&[ANN, "pro", "subscribed", ""], &[EVE, "gold", "subscribed", ""]];
    let verdicts = open(&sandbox.url(), MEMBERS, STATED).verdicts(&upsert(&rows)).await;
    assert_eq!((&verdicts[0], reason(&verdicts[1])), (&written(), ("ERROR_GENERIC", Some("merge_fields.PLAN"))));
}

#[tokio::test]
async fn what_cannot_be_sent_makes_no_call() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), NEW, &["email_address", "language"]);
    let mut rows =
        upsert(&[&["", "de"], &["Ann@example.com", "de"], &[" ann@example.com", "de"], &[ANN, ""], &[BOB, "de"]]);
    rows.rows[4].fields = [BOB, "NaN"].into_iter().map(|text| FieldValue::Set(Value::Invalid(text.into()))).collect();
    let verdicts = bench.verdicts(&rows).await;
    let codes: Vec<&str> = verdicts.iter().map(|verdict| reason(verdict).0).collect();
    assert_eq!(codes[..4], ["NO_MATCH_VALUE", "NOT_LOWERCASE", "NOT_LOWERCASE", "CANNOT_BE_EMPTIED"]);
    assert_eq!(reason(&verdicts[4]).0, "INVALID_VALUE");
    assert_eq!(
        reason(
            &bench
                .verdicts(&{
                    let mut rows = moved(ANN, &[BOB, "de"]);
                    rows.rows[0].address = Address::default();
                    rows
                })
                .await[0]
        )
        .0,
        "NO_ADDRESS"
    );
    assert_eq!(sandbox.calls(), 0);
}

#[tokio::test]
async fn an_update_makes_no_member() {
    let sandbox = stand_in(&[]).await;
    open(&sandbox.url(), NEW, FIELDS).verdicts(&upsert(&[&[ANN, "Ann", "free"]])).await;
    let bench = open(&sandbox.url(), &format!("{MEMBERS}\nmode = \"update\""), FIELDS);
    let verdicts = bench.verdicts(&batch(Operation::Update, &[&[ANN, "Ann", "pro"], &[BOB, "", "pro"]])).await;
    assert_eq!((&verdicts[0], reason(&verdicts[1]).0), (&written(), "Resource Not Found"));
    assert_eq!((member(&*sandbox, ANN), member(&*sandbox, BOB)), (state("subscribed", "pro"), None));
}

#[tokio::test]
async fn who_left_is_archived_and_comes_back_by_a_status_alone() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &format!("{NEW}\nremoved = \"archive\""), FIELDS);
    bench.verdicts(&upsert(&[&[ANN, "Ann", "free"], &[BOB, "", "free"]])).await;
    assert_eq!(bench.verdicts(&removals(Operation::Archive, &[ANN, EVE])).await, [written(), Verdict::Unchanged]);
    assert_eq!(
        (member(&*sandbox, ANN), member(&*sandbox, BOB)),
        (state("archived", "free"), state("subscribed", "free"))
    );
    let back = bench.verdicts(&upsert(&[&[ANN, "Ann", "pro"]])).await;
    assert_eq!(reason(&back[0]), ("STATUS_KEPT", Some("status")));
    let stated = open(&sandbox.url(), MEMBERS, STATED);
    assert_eq!(stated.verdicts(&upsert(&[&[ANN, "pro", "subscribed", ""]])).await, [written()]);
    assert_eq!(member(&*sandbox, ANN), state("subscribed", "pro"));
}

#[tokio::test]
async fn who_is_deleted_is_forgotten_for_good() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &format!("{NEW}\nremoved = \"delete\"\nnever_again = true"), FIELDS);
    bench.verdicts(&upsert(&[&[ANN, "Ann", "free"]])).await;
    assert_eq!(bench.verdicts(&removals(Operation::Delete, &[ANN])).await, [written()]);
    assert_eq!(bench.verdicts(&removals(Operation::Delete, &[ANN])).await, [Verdict::Unchanged]);
    assert_eq!(member(&*sandbox, ANN), None);
    let again = bench.verdicts(&upsert(&[&[ANN, "Ann", "free"]])).await;
    assert_eq!(reason(&again[0]).0, "Forgotten Email Not Subscribed");
}

#[tokio::test]
async fn a_changed_address_is_written_before_the_old_one_is_archived() {
    for (into, fields, texts) in
        [(NEW, FIELDS, [BOB, "Ann", "pro", ""]), (MEMBERS, STATED, [BOB, "pro", "subscribed", "vip"])]
    {
        let texts = &texts[..fields.len()];
        let sandbox = stand_in(&[("reject", "PLAN=gold")]).await;
        open(&sandbox.url(), NEW, FIELDS).verdicts(&upsert(&[&[ANN, "Ann", "free"]])).await;
        let bench = open(&sandbox.url(), &format!("{into}\nremoved = \"archive\""), fields);
        let gold: Vec<&str> = texts.iter().map(|text| if *text == "pro" { "gold" } else { text }).collect();
        let refused = bench.verdicts(&moved(ANN, &gold)).await;
        assert_eq!(reason(&refused[0]).1, Some("merge_fields.PLAN"));
        assert_eq!((member(&*sandbox, ANN), member(&*sandbox, BOB)), (state("subscribed", "free"), None));
        assert_eq!(bench.verdicts(&moved(ANN, texts)).await, [written()]);
        assert_eq!(
            (member(&*sandbox, ANN), member(&*sandbox, BOB)),
            (state("archived", "free"), state("subscribed", "pro"))
        );
        // With `ignore` the old member stays.
        let kept = open(&sandbox.url(), into, fields);
        let to_eve: Vec<&str> = [EVE].into_iter().chain(texts[1..].iter().copied()).collect();
        assert_eq!(kept.verdicts(&moved(BOB, &to_eve)).await, [written()]);
        assert_eq!(
            (member(&*sandbox, BOB), member(&*sandbox, EVE)),
            (state("subscribed", "pro"), state("subscribed", "pro"))
        );
    }
}

#[tokio::test]
async fn a_segment_takes_members_of_the_list_and_no_others() {
    let sandbox = stand_in(&[]).await;
    open(&sandbox.url(), NEW, FIELDS).verdicts(&upsert(&[&[ANN, "Ann", "free"], &[BOB, "", "free"]])).await;
    let bench = open(&sandbox.url(), SEGMENT, &["email_address"]);
    let add = batch(Operation::AudienceAdd, &[&[ANN], &[EVE]]);
    let verdicts = bench.verdicts(&add).await;
    assert_eq!((&verdicts[0], reason(&verdicts[1]).0), (&written(), "NOT_ON_LIST"));
    assert_eq!(bench.verdicts(&add).await[0], Verdict::Unchanged, "a repeated call");
    assert_eq!(bench.verdicts(&moved(ANN, &[BOB])).await, [written()]);
    assert_eq!(sandbox.records()["segment"], json!([BOB]));
    let removed = bench.verdicts(&removals(Operation::AudienceRemove, &[BOB, EVE])).await;
    assert_eq!(removed, [written(), Verdict::Unchanged]);
    assert_eq!(sandbox.records()["segment"], json!([]));
}

#[tokio::test]
async fn a_job_whose_start_was_lost_runs_and_is_started_again_without_harm() {
    let sandbox = stand_in(&[("lose_next", "1")]).await;
    let bench = open(&sandbox.url(), NEW, FIELDS);
    let rows = upsert(&[&[ANN, "Ann", "free"]]);
    assert_eq!(bench.write(&rows).await.expect_err("a lost answer").class, backhaul_kit::FaultClass::Ambiguous);
    assert_eq!(bench.verdicts(&rows).await, [written()]);
    assert_eq!(member(&*sandbox, ANN), state("subscribed", "free"));
}

#[tokio::test]
async fn a_full_job_is_taken_and_more_is_cut() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), NEW, &["email_address"]);
    let addresses: Vec<String> = (0..1001).map(|n| format!("p{n}@example.com")).collect();
    let rows: Vec<[&str; 1]> = addresses.iter().map(|address| [address.as_str()]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    assert_eq!(bench.write(&upsert(&rows)).await.expect_err("too many").class, backhaul_kit::FaultClass::Split);
    let verdicts = bench.verdicts(&upsert(&rows[..1000])).await;
    assert!(verdicts.len() == 1000 && verdicts.iter().all(|verdict| *verdict == written()));
}

#[tokio::test]
async fn the_preview_is_the_request_and_hides_the_key() {
    let bench = open("http://127.0.0.1:9", NEW, FIELDS);
    let shown = bench.destination.preview(&run(), &upsert(&[&[ANN, "Ann \"A\"", "pro"]])).expect("requests");
    assert_eq!((shown.len(), shown[0].target.as_str()), (1, "http://127.0.0.1:9/3.0/batches"));
    let body: serde_json::Value = serde_json::from_str(&shown[0].body).expect("JSON");
    let operation = &body["operations"][0];
    assert_eq!(operation["path"], format!("/lists/abc123/members/{}", id_of(ANN)));
    let member: serde_json::Value = serde_json::from_str(operation["body"].as_str().expect("text")).expect("JSON");
    let fields = json!({ "FNAME": "Ann \"A\"", "PLAN": "pro" });
    assert_eq!(member, json!({ "email_address": ANN, "merge_fields": fields, "status_if_new": "subscribed" }));
    assert!(!format!("{shown:?}").contains(KEY));
    let none = bench.destination.preview(&run(), &upsert(&[&["", "", ""]])).expect("no request");
    assert_eq!(none, []);
}

fn id_of(address: &str) -> String {
    use md5::Digest as _;
    backhaul_kit::value::hex(&md5::Md5::digest(address))
}

#[test]
fn a_member_s_id_is_the_one_of_the_vendor_s_example() {
    // From Mailchimp's guide: the address "urist.mcvankab@freddiesjokes.com".
    assert_eq!(id_of("urist.mcvankab@freddiesjokes.com"), "62eeb292278cc15f5817cb78f7790b08");
}
