//! Jobs of Bulk API 2.0 on the stand-in.

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Reply, Scripted, Server};
use serde_json::json;

use super::*;

/// An object that needs no field.
const THING: &str = "Thing__c.Ext_Id__c:string:external,Thing__c.Name:string,Thing__c.Score__c:double,\
    Thing__c.Active__c:boolean,Thing__c.Since__c:date,Thing__c.Seen__c:datetime,Thing__c.Plan__c:string";
/// More rows than a call takes.
const ROWS: usize = 205;

/// Rows `c0`, `c1` … of this plan.
fn many(operation: Operation, plan: &str) -> Batch {
    let texts: Vec<String> = (0..ROWS).map(|n| format!("c{n}")).collect();
    let fields: Vec<[&str; 3]> = texts.iter().map(|text| [text.as_str(), "Ada, \"the\n1st\"", plan]).collect();
    new(operation, &fields.iter().map(<[&str; 3]>::as_slice).collect::<Vec<_>>())
}

fn all_written(verdicts: &[Verdict]) -> bool {
    verdicts.len() == ROWS && verdicts.iter().all(|verdict| matches!(verdict, Verdict::Written { remote_id: Some(_) }))
}

#[tokio::test]
async fn a_job_is_made_filled_closed_and_asked_after() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let rows = many(Operation::Upsert, "pro");
    let (ticket, saved) = bench.start(&rows).await;
    // One ticket is saved before the file is sent; the one that is answered with is kept by whoever delivers.
    let steps: Vec<&serde_json::Value> = saved.iter().chain([&ticket]).map(|kept| &kept.body["uploaded"]).collect();
    assert_eq!(steps, [&json!(false), &json!(true)]);
    assert_eq!(accounts(&*sandbox), json!({}), "nothing is done before the job is closed");
    assert!(matches!(bench.poll(&ticket, &rows).await, Progress::Running { after } if after.as_secs() == 2));
    assert!(all_written(&bench.finish(&ticket, &rows).await));
    assert_eq!(accounts(&*sandbox)["c7"], json!({ "Ext_Id__c": "c7", "Name": "Ada, \"the\n1st\"", "Plan__c": "pro" }));
}

#[tokio::test]
async fn a_plan_gives_the_same_records_by_calls_and_by_jobs() {
    let fields = ["Ext_Id__c", "Name", "Score__c", "Active__c", "Since__c", "Seen__c", "Plan__c"];
    let texts = ["Ada", "a,b", "\"quoted\"", "two\nlines", "  spaces ", "Größe 🙂", "#not na", "'; DROP", "\\"];
    let record = |n: usize, round: usize| {
        let number = (n + round) as i64;
        let plan = match (n + round) % 4 {
            0 => FieldValue::Set(Value::Null),
            1 => FieldValue::Skip,
            2 => value(""),
            _ => value("pro"),
        };
        vec![
            value(&format!("c{n}")),
            value(texts[(n + round) % texts.len()]),
            FieldValue::Set(if number % 2 == 0 { Value::Int(number) } else { Value::Decimal(format!("{number}.25")) }),
            FieldValue::Set(Value::Bool(number % 3 == 0)),
            FieldValue::Set(Value::Date(number as i32)),
            FieldValue::Set(Value::Timestamp(number * 1_234_567)),
            plan,
        ]
    };
    let rows = |round: usize| -> Vec<Row> {
        (0..ROWS).map(|n| row(10 + n as u64, Address::default(), record(n, round))).collect()
    };
    let of = |operation, rows: &[Row]| Batch { operation, seq: 0, last: false, rows: rows.to_vec() };
    let remove = |verdicts: &[Verdict], every: usize| -> Vec<Row> {
        let known = verdicts.iter().enumerate().filter(|(n, _)| n % every == 0 || every == 1);
        let address = |verdict: &Verdict| match verdict {
            Verdict::Written { remote_id } => Address { remote_id: remote_id.clone(), match_value: None },
            other => panic!("not written: {other:?}"),
        };
        known.map(|(n, verdict)| row(10 + n as u64, address(verdict), Vec::new())).collect()
    };
    let mut sinks = Vec::new();
    for by_job in [false, true] {
        let sandbox = stand_in(&[("rights", "create,edit,delete"), ("fields", THING)]).await;
        let text = text(&sandbox.url(), UPSERT).replace("\"Account\"", "\"Thing__c\"");
        let bench = open_text(&text, &fields, SECRET);
        let deliver = async |operation, rows: Vec<Row>| {
            if by_job {
                return bench.by_job(&of(operation, &rows)).await;
            }
            let mut verdicts = Vec::new();
            for rows in rows.chunks(100) {
                verdicts.extend(bench.verdicts(&of(operation, rows)).await);
            }
            verdicts
        };
        let mut states = Vec::new();
        deliver(Operation::Upsert, rows(0)).await;
        states.push(sandbox.records());
        let written = deliver(Operation::Upsert, rows(1)).await;
        states.push(sandbox.records());
        assert!(all_written(&written), "{written:?}");
        assert!(all_written(&deliver(Operation::Clear, remove(&written, 1)).await));
        states.push(sandbox.records());
        assert!(all_written(&deliver(Operation::Delete, remove(&written, 1)).await));
        states.push(sandbox.records());
        // The ids of the stand-in follow the order of its work, and that of a job is its own.
        let by_match = |state: &serde_json::Value| -> serde_json::Value {
            let all = state["Thing__c"].as_object().expect("things").values();
            all.map(|row| (row["Ext_Id__c"].as_str().expect("a match value").to_owned(), row.clone())).collect()
        };
        sinks.push(states.iter().map(by_match).collect::<Vec<_>>());
    }
    assert_eq!(sinks[0], sinks[1]);
    let counts: Vec<usize> = sinks[0].iter().map(|state| state.as_object().expect("things").len()).collect();
    assert_eq!(counts, [ROWS, ROWS, ROWS, 0]);
    assert_eq!(sinks[0][2]["c3"], json!({ "Ext_Id__c": "c3" }), "cleared");
}

#[tokio::test]
async fn each_row_has_its_own_verdict_whatever_the_order_of_the_results() {
    let sandbox = stand_in(&[("reject", "Name=Eve"), ("lock_next", "1"), ("drop_rows", "2")]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let mut rows = many(Operation::Upsert, "pro");
    let fields = |texts: [&str; 3]| texts.map(value).into_iter().collect();
    rows.rows[3].fields = fields(["c3", "Eve", "pro"]);
    rows.rows[7].fields = fields(["", "Ada", "pro"]);
    let verdicts = bench.by_job(&rows).await;
    assert_eq!(code(&verdicts[3]), "FIELD_CUSTOM_VALIDATION_EXCEPTION");
    assert_eq!(code(&verdicts[7]), "NO_MATCH_VALUE");
    let Verdict::Rejected(reason) = &verdicts[3] else { panic!("accepted") };
    assert!(reason.text.contains("Eve is not welcome"), "{reason:?}");
    // The stand-in works from the last row to the first: the first that it worked on are the dropped ones.
    let unknown = verdicts.iter().filter(|verdict| **verdict == Verdict::Unknown).count();
    assert_eq!(unknown, 2, "rows in no file");
    let known = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Written { .. })).count();
    assert_eq!(known, ROWS - 2 - unknown);
    let mut all = bench.by_job(&many(Operation::Upsert, "pro")).await;
    assert!(all_written(&all));
    set(&*sandbox, "lock_next", "1");
    all = bench.by_job(&many(Operation::Upsert, "max")).await;
    assert_eq!(all.iter().filter(|verdict| **verdict == Verdict::Retry(None)).count(), 1, "locked rows come again");
}

#[tokio::test]
async fn what_no_job_carries_is_cut_out_and_goes_by_a_call() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    for name in [String::from("#N/A"), "x".repeat(32_001)] {
        let mut rows = many(Operation::Upsert, "pro");
        rows.rows[5].fields = ["c5", &name, "pro"].map(value).into_iter().collect();
        let calls = sandbox.calls();
        assert_eq!(bench.write(&rows).await.expect_err("no job").class, FaultClass::Split);
        assert_eq!(sandbox.calls(), calls, "nothing was sent");
    }
    let alone = new(Operation::Upsert, &[&["c5", "#N/A", "pro"]]);
    assert_eq!(bench.verdicts(&alone).await, [written(0)]);
    assert_eq!(accounts(&*sandbox)["c5"]["Name"], "#N/A");
}

#[tokio::test]
async fn a_failed_job_keeps_what_it_did_and_the_rest_comes_again() {
    let sandbox = stand_in(&[("fail_jobs", "1")]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let verdicts = bench.by_job(&many(Operation::Upsert, "pro")).await;
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
    let there = accounts(&*sandbox).as_object().expect("accounts").len();
    assert_eq!((count(|v| matches!(v, Verdict::Written { .. })), there), (ROWS / 2, ROWS / 2));
    assert_eq!(count(|v| *v == Verdict::Retry(None)), ROWS - ROWS / 2);
}

#[tokio::test]
async fn a_stuck_job_is_waited_for_called_off_after_a_day_and_lost_when_forgotten() {
    let sandbox = stand_in(&[("stuck", "1")]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let rows = many(Operation::Upsert, "pro");
    let (mut ticket, _) = bench.start(&rows).await;
    for _ in 0..5 {
        assert!(matches!(bench.poll(&ticket, &rows).await, Progress::Running { .. }));
    }
    let long_ago = |seconds: i64| json!(jiff::Timestamp::now().as_second() - seconds);
    ticket.body["created"] = long_ago(1000);
    assert!(matches!(bench.poll(&ticket, &rows).await, Progress::Running { after } if after.as_secs() == 30));
    ticket.body["created"] = long_ago(2 * 24 * 3600);
    assert!(matches!(bench.poll(&ticket, &rows).await, Progress::Running { .. }));
    let verdicts = bench.finish(&ticket, &rows).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Retry(None)), "nothing of it was done");
    set(&*sandbox, "forget_jobs", "");
    assert!(matches!(bench.poll(&ticket, &rows).await, Progress::Lost));
    let foreign = Ticket { kind: String::from("other"), ..ticket };
    assert!(matches!(bench.poll(&foreign, &rows).await, Progress::Lost));
}

#[tokio::test]
async fn what_goes_wrong_before_a_job_is_closed_was_not_applied() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let rows = many(Operation::Upsert, "pro");
    for setting in ["lose_next", "fail_next"] {
        set(&*sandbox, setting, "1");
        let fault = bench.destination.write(&run(), &rows, NO_TICKETS).await.expect_err("no job");
        assert_eq!(fault.class, FaultClass::Transient, "{setting}");
    }
    // The process died before the file was there: the job is called off, its rows come again.
    let (_, saved) = bench.start(&rows).await;
    let verdicts = bench.finish(&saved[0], &rows).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Retry(None)));
    // It died, or the answer was lost, when the job was closed: it goes on.
    let (ticket, _) = bench.start(&rows).await;
    set(&*sandbox, "lose_next", "1");
    let fault = bench.destination.poll(&run(), &ticket, &rows).await.expect_err("lost");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(all_written(&bench.finish(&ticket, &rows).await));
    assert_eq!(accounts(&*sandbox).as_object().expect("accounts").len(), ROWS);
}

#[tokio::test]
async fn removals_go_by_job_where_their_ids_are_known_and_are_cut_where_not() {
    let sandbox = stand_in(&[("rights", "create,edit,delete")]).await;
    let bench = open(&sandbox.url(), &format!("{UPSERT}\nremoved = \"delete\""));
    bench.by_job(&many(Operation::Upsert, "pro")).await;
    let mut addresses: Vec<Address> = (0..ROWS).map(|n| by_id(&id(n))).collect();
    let known = removals(Operation::Delete, &addresses);
    addresses[0] = by_value("c0");
    let fault = bench.write(&removals(Operation::Delete, &addresses)).await.expect_err("one has to be looked for");
    assert_eq!(fault.class, FaultClass::Split);
    assert!(all_written(&bench.by_job(&known).await));
    let again = bench.by_job(&known).await;
    assert!(again.iter().all(|verdict| *verdict == Verdict::Unchanged));
    assert_eq!(accounts(&*sandbox), json!({}));
}

#[tokio::test]
async fn odd_results_settle_nothing() {
    for (body, class) in
        [("<!doctype html><html></html>", FaultClass::Transient), ("\"sf__Id\",\"x\n", FaultClass::Transient)]
    {
        let server = Server::start(move |request| {
            let token = json!({ "access_token": "t", "token_type": "Bearer" });
            Reply::Answer(match request.target.rsplit('/').next() {
                Some("token") => Scripted::json(200, &token),
                Some("") => Scripted::of(200, "text/csv", body),
                _ => Scripted::json(200, &json!({ "id": "750", "state": "JobComplete" })),
            })
        })
        .await;
        let bench = open(server.url(), UPSERT);
        let rows = many(Operation::Upsert, "pro");
        let (ticket, _) = bench.start(&rows).await;
        let fault = bench.destination.poll(&run(), &ticket, &rows).await.expect_err("no results");
        assert_eq!(fault.class, class, "{body}");
    }
}

#[tokio::test]
async fn a_job_is_previewed_by_its_two_calls() {
    let bench = open("http://127.0.0.1:9", UPSERT);
    let shown = bench.destination.preview(&run(), &many(Operation::Upsert, "pro")).expect("requests");
    let job: serde_json::Value = serde_json::from_str(&shown[0].body).expect("JSON");
    assert_eq!((&job["operation"], &job["externalIdFieldName"]), (&json!("upsert"), &json!("Ext_Id__c")));
    assert!(
        shown[1].body.starts_with("Ext_Id__c,Name,Plan__c\nc0,\"Ada, \"\"the\n1st\"\"\",pro\n"),
        "{}",
        shown[1].body
    );
}
