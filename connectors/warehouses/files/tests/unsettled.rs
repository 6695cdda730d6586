//! Files that are not whole yet, or change while they are read: no end is ever said of them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use backhaul_kit::{Fault, FaultClass, Scanned};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::super::super::testing::{drain, pages};
use super::{Lake, model};

/// So many rows that several pages are still to come when the first was taken.
const ROWS: usize = 60_000;

fn large() -> String {
    (0..ROWS).fold(String::from("id,name\n"), |text, n| text + &format!("{n},name {n}\n"))
}

fn lake() -> Lake {
    let lake = Lake::new();
    lake.write("a.csv", large());
    lake.write("b.csv", "id,name\nb,b\n");
    lake
}

async fn begin(lake: &Lake) -> BoxStream<'static, Result<Scanned, Fault>> {
    let open = lake.source.open(&model("*.csv")).await.expect("open");
    let mut pages = pages(open, &["id", "name"], 1);
    assert!(matches!(pages.next().await, Some(Ok(Scanned::Page(_)))), "the first page is sound");
    pages
}

#[tokio::test]
async fn a_file_that_changes_comes_or_goes_leaves_the_scan_without_an_end() {
    type Change = fn(&Lake);
    let changes: [(&str, Change); 8] = [
        ("a.csv was changed", |lake| {
            let mut file = OpenOptions::new().append(true).open(lake.path("a.csv")).expect("open");
            file.write_all(b"more,more\n").expect("written");
        }),
        ("a.csv was changed", |lake| {
            File::options().write(true).open(lake.path("a.csv")).expect("open").set_len(20_000).expect("cut");
        }),
        ("b.csv was changed", |lake| lake.write("b.csv", "id,name\nc,c\n")),
        // A writer that sets the old time back is found out by the system's own.
        ("b.csv was changed", |lake| {
            let modified = std::fs::metadata(lake.path("b.csv")).and_then(|file| file.modified()).expect("a time");
            lake.write("b.csv", "id,name\nc,c\n");
            File::options().write(true).open(lake.path("b.csv")).and_then(|f| f.set_modified(modified)).expect("set");
        }),
        ("a.csv was changed", |lake| {
            lake.write("other", large());
            std::fs::rename(lake.path("other"), lake.path("a.csv")).expect("renamed");
        }),
        ("c.csv was added", |lake| lake.write("c.csv", "id,name\nc,c\n")),
        ("0.csv was added", |lake| lake.write("0.csv", "id,name\nc,c\n")),
        ("a.csv went away", |lake| std::fs::remove_file(lake.path("a.csv")).expect("removed")),
    ];
    for (complaint, change) in changes {
        let lake = lake();
        let pages = begin(&lake).await;
        change(&lake);
        let fault = drain(pages).await.map(|whole| whole.pages).expect_err(complaint);
        assert_eq!(fault.class, FaultClass::Transient);
        assert_eq!(fault.to_string(), format!("{complaint} while the model was read"));
    }
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_listed_is_not_read() {
    let lake = lake();
    let open = lake.source.open(&model("*.csv")).await.expect("open");
    lake.write("a.csv", "id,name\nd,d\n");
    let fault = drain(pages(open, &["id"], 1)).await.map(|whole| whole.pages).expect_err("changed");
    assert_eq!(fault.to_string(), "a.csv was changed while the model was read");
}

#[tokio::test]
async fn a_link_that_was_pointed_elsewhere_is_a_change() {
    let lake = Lake::new();
    lake.write("1/a.csv", large());
    lake.write("2/a.csv", large());
    let link = |to: &str| {
        let _ = std::fs::remove_file(lake.path("current"));
        std::os::unix::fs::symlink(to, lake.path("current")).expect("linked");
    };
    link("1");
    let open = lake.source.open(&model("current/*.csv")).await.expect("open");
    let mut pages = pages(open, &["id"], 1);
    assert!(matches!(pages.next().await, Some(Ok(Scanned::Page(_)))));
    link("2");
    let fault = drain(pages).await.map(|whole| whole.pages).expect_err("changed");
    assert_eq!(fault.to_string(), "current/a.csv was changed while the model was read");
}

fn set_age(lake: &Lake, path: &str, age: Duration) {
    let file = File::options().write(true).open(lake.path(path)).expect("open");
    file.set_modified(SystemTime::now() - age).expect("set");
}

#[tokio::test]
async fn files_that_were_written_just_now_may_not_be_whole() {
    let lake = Lake::with("");
    lake.write("a.csv", "id\n1\n");
    lake.write("b.csv", "id\n2\n");
    set_age(&lake, "a.csv", Duration::from_secs(60));
    let fault = lake.refused("*.csv").await;
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.to_string().starts_with("b.csv was written 0 s ago"), "{fault}");
    assert_eq!(lake.scan("a.csv", &["id"]).await.expect("a scan").records.len(), 1);
    set_age(&lake, "b.csv", Duration::from_secs(60));
    assert_eq!(lake.scan("*.csv", &["id"]).await.expect("a scan").records.len(), 2);
    // A clock that is ahead says nothing.
    File::options()
        .write(true)
        .open(lake.path("b.csv"))
        .and_then(|file| file.set_modified(SystemTime::now() + Duration::from_secs(3600)))
        .expect("set");
    assert_eq!(lake.refused("*.csv").await.class, FaultClass::Transient);
}

#[tokio::test]
async fn a_marker_vouches_for_what_is_not_newer() {
    let lake = Lake::with("done = \"_SUCCESS\"");
    lake.write("set/de/a.csv", "id\n1\n");
    let fault = lake.refused("set/**/*.csv").await;
    assert_eq!(
        (fault.class, fault.to_string().as_str()),
        (FaultClass::Transient, "the marker set/_SUCCESS is not there")
    );
    lake.write("set/_SUCCESS", "");
    set_age(&lake, "set/_SUCCESS", Duration::from_secs(60));
    let fault = lake.refused("set/**/*.csv").await;
    assert!(fault.to_string().starts_with("set/de/a.csv is newer than the marker set/_SUCCESS"), "{fault}");
    set_age(&lake, "set/de/a.csv", Duration::from_secs(60));
    lake.write("set/_SUCCESS", "");
    assert_eq!(lake.scan("set/**/*.csv", &["id"]).await.expect("a scan").records.len(), 1);
}

#[tokio::test]
async fn a_marker_that_is_taken_away_ends_the_scan_without_an_end() {
    let lake = Lake::with("done = \"_SUCCESS\"");
    lake.write("a.csv", large());
    lake.write("_SUCCESS", "");
    let pages = begin(&lake).await;
    std::fs::remove_file(lake.path("_SUCCESS")).expect("removed");
    let fault = drain(pages).await.map(|whole| whole.pages).expect_err("no marker");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.to_string().contains("were changed while they were read"), "{fault}");
}

#[tokio::test]
async fn a_scan_that_nobody_reads_on_is_given_up() {
    let lake = lake();
    drop(begin(&lake).await);
    // The reading thread holds the files open only until it notices.
    assert!(lake.scan("b.csv", &["id"]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_scan_has_to_keep_its_time() {
    let lake = lake();
    let timed = backhaul_kit::Model { timeout: Some(Duration::from_secs(5)), ..model("*.csv") };
    let open = lake.source.open(&timed).await.expect("open");
    tokio::time::advance(Duration::from_secs(6)).await;
    let fault = drain(pages(open, &["id"], 1)).await.map(|whole| whole.pages).expect_err("too late");
    assert!(fault.to_string().contains("longer than its `timeout`"), "{fault}");
}
