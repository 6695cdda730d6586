//! Vendors that limit something else than the calls of a short window, in the same virtual time as `windows`.

use std::collections::VecDeque;
use std::time::Duration;

use backhaul_kit::{FaultClass, Operation};

use super::bench::{Bench, Delivery};

/// Salesforce counts the calls of a day, and says with every answer how many there were. Of a day's 100,000 others have
/// made 99,698 when 100,000 rows come, which take 500 calls: those that are left are used but for the five that may be in
/// flight, none is refused, and the rest of the rows waits for another day.
#[tokio::test(start_paused = true)]
async fn salesforce_what_is_left_of_the_day() {
    let accounts = Delivery {
        kind: "salesforce",
        stand_in: ("salesforce", &[("used", "99698"), ("latency", "50")]),
        account: "domain = \"acme.my.salesforce.com\"\nclient_id = \"sandbox-app\"\nclient_secret = { file = \"secret\" }",
        sync: "[into]\nobject = \"Account\"\nmode = \"upsert\"\nbulk_above = \"never\"\n\
               [fields]\nExt_Id__c = \"id\"\nName = \"name\"\n",
        operation: Operation::Upsert,
        rows: 100_000,
        batch: 200,
    };
    let bench = Bench::new(accounts, &[]).await;
    let (delivered, _) = bench.deliver().await;
    let stopped = delivered.stopped_by.as_ref().expect("an end before the last row");
    assert_eq!(stopped.class, FaultClass::Throttled, "{delivered:?}");
    assert!(stopped.message.contains("used up"), "not the vendor's word: {delivered:?}");
    // A call for the token, which is not of the day's; every other wrote 200 rows.
    let calls = bench.sandbox.calls() - 1;
    assert_eq!(delivered.counts.accepted, calls * 200, "{delivered:?}");
    assert!((297..=302).contains(&calls), "{calls} of 302 calls");
}

/// Mailchimp lets ten calls be in flight, as many as it likes: of calls of a second each ten are answered a second.
#[tokio::test(start_paused = true)]
async fn mailchimp_ten_calls_at_a_time() {
    let members = Delivery {
        kind: "mailchimp",
        stand_in: ("mailchimp", &[("latency", "1000")]),
        account: "key = { file = \"secret\" }",
        sync: "[into]\nobject = \"members\"\nmode = \"upsert\"\nlist = \"abc123\"\nmatch = \"email_address\"\n\
               [fields]\nemail_address = \"email\"\nstatus = \"status\"\n",
        operation: Operation::Upsert,
        rows: 100_000,
        batch: 400,
    };
    let bench = Bench::new(members, &[]).await;
    let (delivered, took) = bench.deliver().await;
    assert_eq!((delivered.counts.accepted, bench.sandbox.calls()), (100_000, 250), "{delivered:?}: some were refused");
    let used = 25.0 / took.as_secs_f64();
    assert!(used >= 0.98, "{used} of ten calls at a time, in {took:?}");
}

/// Meta says which share of its quota is used, of what the calls of the last hour took; how much a call takes it does not
/// say beforehand. Where it takes 0.2 % the hour is never used up, and used to more than three quarters.
#[tokio::test(start_paused = true)]
async fn meta_the_share_of_the_last_hour() {
    const PERCENT_OF_A_CALL: f64 = 0.2;
    const HOUR: usize = 3600;
    let people = Delivery {
        kind: "meta",
        stand_in: ("meta", &[("latency", "200"), ("usage_per_call", "0.2")]),
        account: "ad_account = \"act_1234567890\"\ntoken = { file = \"secret\" }",
        sync: "[into]\naudience = \"23851234567890\"\nmode = \"audience\"\n\
               [fields]\nEXTERN_ID = \"id\"\nEMAIL = \"email\"\n",
        operation: Operation::AudienceAdd,
        rows: 100_000,
        batch: 11,
    };
    let bench = Bench::new(people, &[]).await;
    // What is older than an hour does not count any more.
    let hour = async {
        let (mut before, mut of_hour, mut seconds) = (0, 0, VecDeque::new());
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let calls = bench.sandbox.calls();
            seconds.push_back(calls - before);
            of_hour += calls - before;
            before = calls;
            if seconds.len() > HOUR {
                of_hour -= seconds.pop_front().unwrap_or_default();
            }
            let usage = of_hour as f64 * PERCENT_OF_A_CALL;
            bench.sandbox.set("usage", &usage.to_string()).expect("a setting");
        }
    };
    let (delivered, took) = tokio::select! { done = bench.deliver() => done, () = hour => unreachable!() };
    let calls = 100_000_u64.div_ceil(11);
    assert_eq!(
        (delivered.counts.accepted, bench.sandbox.calls()),
        (100_000, calls),
        "{delivered:?}: some were refused"
    );
    let hours = took.as_secs_f64() / HOUR as f64;
    let used = calls as f64 * PERCENT_OF_A_CALL / 100.0 / hours;
    assert!(hours >= 20.0 && used >= 0.75, "{used} of each of {hours} hours");
}
