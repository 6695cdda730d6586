//! A network that fails between backhaul and its warehouse, or its destination. A model of which not every row came
//! removes nothing and sends nothing; a call whose answer is lost is sent again.

use std::time::Duration;

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, model};
use crate::support::proxy::{Harm, Point, Proxy};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

const ROWS: i64 = 1_000;
/// The begin of the data in COPY's binary format.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The end of the data in COPY's binary format, in the message that carries it.
const TRAILER: &[u8] = b"d\0\0\0\x06\xff\xff";

/// A delivered project behind a proxy, whose model has changed since: one row is new, one changed, one gone.
struct Cut {
    warehouse: Warehouse,
    proxy: Proxy,
    customers: Customers,
    sink: Sink,
    project: Project,
}

impl Cut {
    /// `None` without a server.
    fn new() -> Option<Self> {
        let (warehouse, sink) = (Warehouse::postgres()?, Sink::start());
        let mut project = Project::customers(&warehouse, &sink);
        let (proxy, url) = Proxy::of_url(&warehouse.url().expect("a URL"));
        project.set_variable("WAREHOUSE_URL", &url);
        project.write("models/customers.toml", &silent_for_a_second("select * from customers order by id"));
        let mut customers = Customers::new(ROWS);
        customers.publish(&warehouse, Some(&sink));
        project.run().expect(0);
        let mut cut = Self { warehouse, proxy, customers, sink, project };
        cut.change(0);
        Some(cut)
    }

    /// Publishes the next version: one row new, one changed, one gone, the first and the last as they were.
    fn change(&mut self, round: i64) {
        self.customers.add([ROWS / 2 * 10 + round]);
        self.customers.set_plan([ROWS - 5], &format!("plan {round}"));
        self.customers.remove([round + 3]);
        self.customers.publish(&self.warehouse, Some(&self.sink));
    }

    /// A run that is cut short sends nothing and leaves the state as it was; the next one sends just what changed.
    #[track_caller]
    fn assert_harmless(&mut self, what: &str, code: i32, cut: impl FnOnce(&Self) -> Option<i32>) {
        let (before, snapshot) = (self.sink.stats(), self.snapshot());
        assert_eq!(cut(self), Some(code), "{what}");
        assert_eq!(self.sink.stats(), before, "{what}: something was sent");
        assert_eq!(self.snapshot(), snapshot, "{what}: the snapshot is another");
        self.proxy.pass();
        self.project.run().expect(0);
        let after = self.sink.stats();
        assert_eq!((after.puts - before.puts, after.deletes - before.deletes), (2, 1), "{what}");
        self.customers.judge(&self.sink).assert_exact();
    }

    /// As [`Self::assert_harmless`], where the connection with the rows is struck once.
    #[track_caller]
    fn assert_strike_harmless(&mut self, what: &str, code: i32, point: Point, harm: Harm) {
        self.assert_harmless(what, code, |cut| {
            let struck = cut.proxy.struck();
            // Lanes and looks at the server have connections of their own; the rows come on one.
            cut.proxy.strike(point, harm, u64::MAX);
            let run = cut.project.run();
            assert!(cut.proxy.struck() > struck, "{what}: the point was not reached\n{run:?}");
            run.code
        });
    }

    /// What `then` gives while the model has another query.
    fn with_model<T>(&self, sql: &str, then: impl FnOnce() -> T) -> T {
        let path = "models/customers.toml";
        let whole = std::fs::read_to_string(self.project.path(path)).expect("the model");
        self.project.write(path, &silent_for_a_second(sql));
        let given = then();
        self.project.write(path, &whole);
        given
    }

    /// The files of the snapshot, byte for byte.
    fn snapshot(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let folder = self.project.state().join("syncs").join(SYNC);
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the sync's folder")
            .map(|entry| entry.expect("a file").path())
            .filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "LOCK"))
            .map(|path| (path.clone(), std::fs::read(path).expect("its bytes")))
            .collect();
        files.sort();
        files
    }
}

/// A model whose warehouse may be silent for a second.
fn silent_for_a_second(sql: &str) -> String {
    model(sql, "id") + "idle_timeout = \"1s\"\n"
}

/// Right after the email of the customer in the n-th row of the model went to the client.
fn after_row(id: i64) -> Point {
    Point::After(format!("c{id}@example.com").into_bytes())
}

#[test]
fn a_source_that_is_reset_removes_nothing_wherever_it_is_cut() {
    let Some(mut cut) = Cut::new() else { return };
    let places = [
        ("before the first row", Point::After(SIGNATURE.to_vec())),
        ("in row 1", after_row(1)),
        ("in the middle", after_row(ROWS / 2 + 1)),
        ("in the last row but one", after_row(ROWS - 1)),
        ("after the trailer", Point::After(TRAILER.to_vec())),
    ];
    for ((place, point), round) in places.into_iter().zip(1..) {
        cut.assert_strike_harmless(&format!("reset {place}"), 75, point.clone(), Harm::Reset);
        cut.change(round * 2);
        cut.assert_strike_harmless(&format!("closed {place}"), 75, point, Harm::Close);
        cut.change(round * 2 + 1);
    }
}

#[test]
fn an_error_after_the_last_row_is_no_end() {
    let Some(mut cut) = Cut::new() else { return };
    let fields = b"SERROR\0VERROR\0C57P01\0Mterminating connection due to administrator command\0\0";
    let length = u32::try_from(fields.len() + 4).expect("a short message").to_be_bytes();
    let error = [b"E".as_slice(), &length, fields].concat();
    cut.assert_strike_harmless("an error after the trailer", 75, Point::After(TRAILER.to_vec()), Harm::Insert(error));
}

#[test]
fn rows_that_cannot_be_decoded_are_no_model() {
    let Some(mut cut) = Cut::new() else { return };
    let null = (-1i32).to_be_bytes();
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat();
    // A key of three bytes, which is no bigint; and fields that nobody asked for.
    let wrong_value = [&[0, 4][..], &field(b"abc"), &null, &field(b"n"), &field(b"p")].concat();
    let wrong_form = vec![0, 99];
    for (what, tuple, code, round) in [("a value", wrong_value, 1, 1), ("a tuple", wrong_form, 75, 2)] {
        let length = u32::try_from(tuple.len() + 4).expect("short").to_be_bytes();
        let message = [b"d".as_slice(), &length, &tuple].concat();
        // The changed row stands near the end, its plan at the end of its message.
        let point = Point::After(format!("plan {}", round - 1).into_bytes());
        cut.assert_strike_harmless(&format!("{what} of another form"), code, point, Harm::Insert(message));
        cut.change(round);
    }
}

#[test]
fn a_query_that_fails_at_a_late_row_removes_nothing() {
    let Some(mut cut) = Cut::new() else { return };
    let failing = format!("select * from customers where 1 / (id - {}) < 9 order by id", ROWS - 1);
    cut.assert_harmless("a division by zero", 78, |cut| cut.with_model(&failing, || cut.project.run().code));
}

/// Rows that take five seconds together.
const SLOW: &str = "select * from customers where pg_sleep(0.005) is not null";

#[test]
fn a_scan_that_takes_too_long_removes_nothing() {
    let Some(mut cut) = Cut::new() else { return };
    cut.assert_harmless("a timeout", 75, |cut| {
        cut.with_model(SLOW, || {
            cut.project.append("models/customers.toml", "timeout = \"1s\"\n");
            cut.project.run().code
        })
    });
}

#[test]
fn a_server_that_restarts_in_mid_scan_removes_nothing() {
    let Some(mut cut) = Cut::new() else { return };
    cut.assert_harmless("a restart", 75, |cut| {
        cut.with_model(SLOW, || {
            cut.proxy.strike(Point::After(SIGNATURE.to_vec()), Harm::Delay(Duration::ZERO), 1);
            let mut run = cut.project.start(&["run", SYNC]);
            while cut.proxy.struck() == 0 {
                assert!(run.is_running(), "no row came");
                std::thread::sleep(Duration::from_millis(5));
            }
            cut.warehouse.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()",
            );
            run.finish().code
        })
    });
}

#[test]
fn a_connection_that_is_half_open_is_given_up() {
    let Some(mut cut) = Cut::new() else { return };
    cut.assert_strike_harmless("silence in mid-scan", 75, after_row(ROWS / 2 + 1), Harm::HalfOpen);
}

#[test]
fn a_slow_source_is_only_slow() {
    let Some(cut) = Cut::new() else { return };
    cut.proxy.strike(Point::Bytes(0), Harm::Delay(Duration::from_millis(20)), u64::MAX);
    let before = cut.sink.stats();
    cut.project.run().expect(0);
    assert!(cut.proxy.struck() > 0);
    assert_eq!(cut.sink.stats().rows - before.rows, 3);
    cut.customers.judge(&cut.sink).assert_exact();
}

/// A project whose sink stands behind a proxy, in batches of 100, one call at a time.
fn behind_proxy(rows: i64) -> (Proxy, Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let (proxy, url) = Proxy::of_url(&sink.url());
    let mut project = Project::customers(&warehouse, &sink);
    project.edit("backhaul.toml", &sink.url(), &url);
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\nconcurrency = 1\ntimeouts = { total = \"2s\" }");
    project.set_variable("NO_PROXY", "*");
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    (proxy, warehouse, customers, sink, project)
}

#[test]
fn calls_whose_answer_is_lost_are_sent_again_and_end_right() {
    let faults = [
        ("the answer is lost", Point::Bytes(0), Harm::Close),
        ("reset before the answer", Point::Bytes(0), Harm::Reset),
        ("reset in the answer", Point::Bytes(40), Harm::Reset),
        ("closed in the answer", Point::Bytes(40), Harm::Close),
        ("silence", Point::Bytes(0), Harm::HalfOpen),
        ("no connection", Point::Connect, Harm::Reset),
    ];
    for (what, point, harm) in faults {
        let (proxy, warehouse, mut customers, sink, project) = behind_proxy(300);
        let applied = !matches!(point, Point::Connect);
        proxy.strike(point, harm, 1);
        let run = project.run();
        assert_eq!(proxy.struck(), 1, "{what}");
        if run.code != Some(0) {
            // What is in doubt comes again with the next run.
            assert_eq!(run.code, Some(75), "{what}: {run:?}");
            project.run().expect(0);
        }
        let judgement = customers.judge(&sink);
        judgement.assert_converged();
        assert_eq!(judgement.sent_again, if applied { 100 } else { 0 }, "{what}");

        // A removal that is lost on its way back is not lost.
        customers.remove(1..=100);
        customers.publish(&warehouse, Some(&sink));
        proxy.strike(Point::Bytes(0), Harm::Reset, 1);
        let run = project.run();
        assert_eq!(proxy.struck(), 2, "{what}");
        if run.code != Some(0) {
            assert_eq!(run.code, Some(75), "{what}: {run:?}");
            project.run().expect(0);
        }
        customers.judge(&sink).assert_converged();
        let settled = sink.stats();
        project.run().expect(0);
        assert_eq!(sink.stats(), settled, "{what}: something was left to send");
    }
}

#[test]
fn a_slow_destination_is_only_slow() {
    let (proxy, _warehouse, customers, sink, project) = behind_proxy(300);
    proxy.strike(Point::Connect, Harm::Delay(Duration::from_millis(300)), u64::MAX);
    project.run().expect(0);
    assert!(proxy.struck() > 0);
    customers.judge(&sink).assert_exact();
}
