//! Vendors that limit something else than the calls of a short window, in the same virtual time as `windows`.

use backhaul_kit::FaultClass;

use super::bench::{Bench, Delivery};
use super::vendors::{MAILCHIMP, SALESFORCE, Vendor};

/// Salesforce counts the calls of a day, and says with every answer how many there were. Of a day's 100,000 others have
/// made 99,698 when 100,000 rows come, which take 500 calls: those that are left are used but for the five that may be in
/// flight, none is refused, and the rest of the rows waits for another day.
#[tokio::test(start_paused = true)]
async fn salesforce_what_is_left_of_the_day() {
    let one_by_one = Vendor {
        sync: "[into]\nobject = \"Account\"\nmode = \"upsert\"\nbulk_above = \"never\"\n\
               [fields]\nExt_Id__c = \"code\"\nName = \"email\"\n",
        ..SALESFORCE
    };
    let bench = Bench::new(Delivery::of(one_by_one, 100_000, 200), &[("used", "99698"), ("latency", "50")]).await;
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
    let by_lists = Vendor {
        sync: "[into]\nobject = \"members\"\nmode = \"upsert\"\nlist = \"abc123\"\nmatch = \"email_address\"\n\
               [fields]\nemail_address = \"code\"\nstatus = \"yes\"\n",
        ..MAILCHIMP
    };
    let bench = Bench::new(Delivery::of(by_lists, 100_000, 400), &[("latency", "1000")]).await;
    let (delivered, took) = bench.deliver().await;
    assert_eq!((delivered.counts.accepted, bench.sandbox.calls()), (100_000, 250), "{delivered:?}: some were refused");
    let used = 25.0 / took.as_secs_f64();
    assert!(used >= 0.98, "{used} of ten calls at a time, in {took:?}");
}
