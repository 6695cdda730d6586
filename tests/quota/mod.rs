//! Quotas: every vendor's own, used and never broken (`windows`); and a day's, told before a run and kept between
//! processes.

mod bench;
mod faults;
mod limits;
mod vendors;
mod windows;

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

#[test]
fn what_was_used_of_the_day_is_counted_by_the_next_process() {
    let sink = Sink::start();
    let warehouse = Warehouse::sqlite();
    let project = Project::customers(&warehouse, &sink);
    let limits = "limits = [{ cap = 10, per = \"24h\" }]\nquota = \"50%\"";
    project.edit("backhaul.toml", "type = \"http\"", &format!("type = \"http\"\n{limits}"));
    let mut customers = Customers::new(300);
    customers.publish(&warehouse, Some(&sink));

    let plan = project.backhaul(&["plan", SYNC, "--output", "json"]).expect(0).json();
    let (calls, forecast) = (&plan["plans"][0]["calls"], &plan["plans"][0]["forecast"]);
    assert_eq!((calls, &forecast["quota_percent"], &forecast["quota_left"]), (&3.into(), &60.0.into(), &5.into()));
    project.run().expect(0);
    assert_eq!(sink.stats().calls, 3);

    customers.set_plan(1..=300, "pro");
    customers.publish(&warehouse, Some(&sink));
    project.backhaul(&["plan", SYNC]).expect(0).says(&["60% of a day's quota (2 left)"]);
    // Two of three calls are left: the third waits for another day, and its rows for the next run.
    project.run().expect(75);
    assert_eq!(sink.stats().calls, 5);
    project.run().expect(75);
    assert_eq!(sink.stats().calls, 5, "the day stays used up, whichever process asks");
}
