//! What a machine does to the program: a disk that fills up, a service manager's SIGTERM, a process that stands still.

use std::time::Duration;

use crate::support::customers::Customers;
use crate::support::disk::Disk;
use crate::support::project::{Project, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// The words by which a full disk is told; SQLite may say no more than that a write failed.
const FULL: [&str; 4] = ["No space left on device", "is full", "not full", "free space on that file system"];
/// A page of the disk.
const PAGE: usize = 4096;

fn project_with(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    (warehouse, customers, sink, project)
}

#[test]
fn a_disk_that_fills_up_at_any_write_is_told_and_all_goes_on_once_there_is_room() {
    let Some(disk) = Disk::mount(16) else { return };
    let (warehouse, mut customers, sink, project) = project_with(1_000);
    let state = disk.path().join("state");
    project.append("backhaul.toml", &format!("\n[state]\ndir = {:?}\nmin_free = 0\n", state.display().to_string()));
    project.run().expect(0);

    // From no page to enough for a whole run: every write is the first that does not fit at some size.
    let (mut refused, mut enough) = (0, 0);
    for pages in 0.. {
        customers.set_plan(1..=300, &format!("plan {pages}"));
        customers.publish(&warehouse, Some(&sink));
        disk.leave(pages * PAGE);
        let ended = project.run();
        disk.free();
        if ended.code == Some(0) {
            enough += 1;
        } else {
            refused += 1;
            let told = FULL.iter().any(|words| ended.stdout.contains(words) || ended.stderr.contains(words));
            assert!(told, "{pages} pages: code {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
        }
        project.backhaul(&["state", "verify"]).expect(0);
        project.run().expect(0);
        customers.judge(&sink).assert_converged();
        if enough == 3 {
            break;
        }
    }
    assert!(refused > 10, "{refused} runs did not have enough room");
}

#[test]
fn a_service_that_is_terminated_in_mid_batch_finishes_what_is_in_flight_and_ends_well() {
    let (_warehouse, customers, sink, project) = project_with(5_000);
    project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\nschedule = { every = \"24h\" }\n");
    sink.hold_after(1_000);
    let mut serving = project.start(&["serve"]);
    serving.wait_for_rows(&sink, 1_000);
    serving.terminate();
    // The answers are still to come.
    std::thread::sleep(Duration::from_millis(300));
    assert!(serving.is_running());
    sink.release();
    serving.finish().expect(0);
    assert!(sink.stats().rows < 5_000, "the run went on to its end");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn two_services_on_one_state_send_every_row_once() {
    let (_warehouse, customers, sink, project) = project_with(2_000);
    project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\nschedule = { every = \"24h\" }\n");
    let mut services = [project.start(&["serve"]), project.start(&["serve"])];
    services[0].wait_for_rows(&sink, 2_000);
    for service in services {
        service.terminate();
        service.finish().expect(0);
    }
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    project.backhaul(&["state", "verify"]).expect(0);
}

#[test]
fn a_process_that_stood_still_for_longer_than_its_lease_sends_nothing_more() {
    let (_warehouse, customers, sink, project) = project_with(5_000);
    // One call at a time: while its answer is held, nothing else is on its way.
    project.append("backhaul.toml", "concurrency = 1\n");
    sink.hold_after(1_000);
    let mut first = project.start(&["run", SYNC]);
    first.wait_for_rows(&sink, 1_000);
    first.stop();
    sink.release();

    // The lease runs out, and another process goes on with the run. It is in mid-delivery when the first wakes up.
    sink.hold_after(2_000);
    let mut second = project.start(&["run", SYNC]);
    second.wait_for_rows(&sink, 2_000);
    first.resume();
    let ended = first.finish();
    assert_ne!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(sink.stats().rows, 2_000, "the stale process sent rows\n{}{}", ended.stdout, ended.stderr);

    sink.release();
    second.finish().expect(0);
    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled, "something was left to send");
    let judgement = customers.judge(&sink);
    judgement.assert_converged();
    // No more than the first had sent: the verdicts of its last second need not have been on disk.
    assert!(judgement.sent_again <= 1_000, "{} rows were sent again", judgement.sent_again);
}
