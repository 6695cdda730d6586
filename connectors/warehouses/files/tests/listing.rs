//! Which files a model is made of.

use std::os::unix::fs::symlink;

use backhaul_kit::{FaultClass, Model, ModelQuery, Query};

use super::super::super::testing::{refused, sql};
use super::{Lake, model};

/// The keys that a model has, in their order.
async fn ids(lake: &Lake, files: &str) -> Vec<String> {
    let whole = lake.scan(files, &["id"]).await.unwrap_or_else(|e| panic!("{files}: {e}"));
    whole.keys.into_iter().map(|key| key.expect("a key")).collect()
}

fn lake(files: &[&str]) -> Lake {
    let lake = Lake::new();
    for file in files {
        lake.write(file, format!("id\n{file}\n"));
    }
    lake
}

#[tokio::test]
async fn files_are_found_by_their_pattern_in_the_order_of_their_paths() {
    let lake = lake(&[
        "b.csv",
        "a.csv",
        "a.csv.bak",
        ".c.csv",
        "_d.csv",
        "x/a.csv",
        "x/y/a.csv",
        "x/y/z/b.csv",
        "x/_tmp/a.csv",
        "x-/a.csv",
    ]);
    assert_eq!(ids(&lake, "a.csv").await, ["a.csv"]);
    assert_eq!(ids(&lake, "*.csv").await, ["a.csv", "b.csv"]);
    assert_eq!(ids(&lake, "_d.csv").await, ["_d.csv"]);
    assert_eq!(ids(&lake, "?/*.csv").await, ["x/a.csv"]);
    assert_eq!(ids(&lake, "x/**/*.csv").await, ["x/a.csv", "x/y/a.csv", "x/y/z/b.csv"]);
    assert_eq!(ids(&lake, "**/y/**/*.csv").await, ["x/y/a.csv", "x/y/z/b.csv"]);
    assert_eq!(ids(&lake, "**/**/a.csv").await, ["a.csv", "x/a.csv", "x/y/a.csv", "x-/a.csv"]);
    assert_eq!(ids(&lake, "x/_tmp/*.csv").await, ["x/_tmp/a.csv"]);
    // Found twice: once with the first `**` at y, once at z.
    lake.write("y/y/a.csv", "id\ny/y/a.csv\n");
    assert_eq!(ids(&lake, "**/y/**/a.csv").await, ["x/y/a.csv", "y/y/a.csv"]);
}

#[tokio::test]
async fn no_file_is_not_an_empty_model() {
    let lake = lake(&["x/a.csv"]);
    for files in ["*.csv", "y/*.csv", "y/a.csv", "x/a.csv/b.csv", "x/*.parquet"] {
        let fault = lake.refused(files).await;
        assert_eq!(fault.class, FaultClass::Config);
        assert!(fault.to_string().starts_with(&format!("no file fits `{files}`")), "{fault}");
    }
    std::fs::remove_dir_all(lake.path("")).expect("removed");
    let fault = lake.refused("x/a.csv").await;
    assert!(fault.to_string().starts_with("cannot read the folder"), "{fault}");
}

#[tokio::test]
async fn links_are_followed_as_long_as_they_stay_inside() {
    let lake = lake(&["2026-01-01/a.csv", "2026-01-02/a.csv"]);
    symlink("2026-01-02", lake.path("current")).expect("linked");
    symlink("2026-01-01/a.csv", lake.path("first.csv")).expect("linked");
    assert_eq!(ids(&lake, "current/*.csv").await, ["2026-01-02/a.csv"]);
    assert_eq!(ids(&lake, "first.csv").await, ["2026-01-01/a.csv"]);
    // Among folders that nobody named, a link could lead round in a circle.
    symlink("..", lake.path("2026-01-01/up")).expect("linked");
    assert_eq!(ids(&lake, "**/a.csv").await, ["2026-01-01/a.csv", "2026-01-02/a.csv"]);

    let outside = lake.project.path().join("secret.csv");
    std::fs::write(&outside, "id\nsecret\n").expect("written");
    symlink(&outside, lake.path("out.csv")).expect("linked");
    symlink("..", lake.path("up")).expect("linked");
    symlink("nowhere.csv", lake.path("dangling.csv")).expect("linked");
    for (files, complaint) in [
        ("out.csv", "the link out.csv leads out of"),
        ("?ut.csv", "the link out.csv leads out of"),
        ("up/secret.csv", "the link up leads out of"),
        ("u*/*.csv", "the link up leads out of"),
        ("dangling.csv", "cannot read dangling.csv"),
    ] {
        let fault = lake.refused(files).await;
        assert!(fault.to_string().starts_with(complaint), "{files}: {fault}");
    }
}

#[tokio::test]
async fn what_is_no_file_is_not_passed_over() {
    let lake = lake(&["set.csv/part-0.csv", "other/a.csv"]);
    let fault = lake.refused("*.csv").await;
    assert_eq!(fault.to_string(), "set.csv is a folder");
    assert!(fault.remedy_text().contains("set.csv/*"), "{}", fault.remedy_text());
    let socket = std::os::unix::net::UnixListener::bind(lake.path("other/b.csv")).expect("a socket");
    let fault = lake.refused("other/*.csv").await;
    assert_eq!(fault.to_string(), "other/b.csv is not a regular file");
    drop(socket);
}

#[tokio::test]
async fn sql_is_refused() {
    let lake = lake(&["a.csv"]);
    for query in [ModelQuery::Sql("select 1".into()), ModelQuery::Table("a".into())] {
        let fault = refused(&*lake.source, &Model { query, ..sql("") }).await;
        assert_eq!(fault.class, FaultClass::Config);
        assert!(fault.remedy_text().contains("`files`"), "{fault:?}");
    }
    let filtered = Model { filter: Some("id > 1".into()), ..model("a.csv") };
    assert!(refused(&*lake.source, &filtered).await.to_string().contains("`where`"));
    assert!(lake.refused("../a.csv").await.to_string().contains("`..`"));
    let mut open = lake.source.open(&model("a.csv")).await.expect("open");
    let asked = open.check(&Query { sql: "select 1".into(), limit: 1 }).await;
    assert_eq!(asked.map(|_| ()).expect_err("no SQL").class, FaultClass::Config);
}

#[tokio::test]
async fn a_check_says_where_the_folder_is_and_whether_we_could_write_there() {
    let lake = Lake::new();
    let report = lake.source.check().await.expect("a report");
    assert!(report.server.ends_with("lake"), "{report:?}");
    assert_eq!(report.excess, ["to write into it"]);
    std::fs::remove_dir(lake.path("")).expect("removed");
    std::fs::write(lake.project.path().join("lake"), "").expect("written");
    assert_eq!(lake.source.check().await.expect_err("a file").class, FaultClass::Config);
}

#[tokio::test]
async fn pages_keep_the_rows_of_many_files() {
    let names: Vec<String> = (0..300).map(|n| format!("f/{n:03}.csv")).collect();
    let lake = lake(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ids(&lake, "f/*.csv").await, names);
}
