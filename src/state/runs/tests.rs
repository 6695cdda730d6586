use super::*;
use crate::state::store::tests::open;
use std::collections::HashSet;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn new(sync: &str) -> NewRun {
    NewRun { sync: sync.into(), trigger: Trigger::Manual, stage: "scan".into(), config_digest: Some("d1".into()) }
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let start = at("2026-11-20T12:34:56Z");
    let mut run = state.create_run(&new("vip"), start).await.expect("made");
    assert!(run.id.starts_with("20261120T123456-") && run.id.len() == 20, "{}", run.id);
    assert_eq!(run.status, RunStatus::Queued);
    run.status = RunStatus::Planning;
    state.update_run(&mut run, start).await.expect("written");
    run.status = RunStatus::Failed;
    run.counts = RunCounts { rows: 10, added: 4, ..RunCounts::default() };
    run.plan_hash = Some("ab".into());
    run.plan_path = Some("plans/x".into());
    run.identity = Some("hubspot:1".into());
    run.error = Some(RunError { class: "auth".into(), message: "no".into(), remedy: Some("do".into()) });
    run.held_reasons = vec!["too many".into()];
    run.canary = Some("1%".into());
    run.calls = 7;
    run.exit_code = Some(4);
    let end = at("2026-11-20T12:40:00Z");
    state.update_run(&mut run, end).await.expect("written");
    assert_eq!(run.finished, Some(end));
    assert_eq!(state.run(&run.id).await.expect("found"), run);
    assert_eq!(state.latest_run("vip").await.expect("read"), Some(run));
    assert_eq!(state.latest_run("other").await.expect("read"), None);
    assert!(matches!(state.run("nope").await, Err(StateError::NoSuchRun(_))));
}

#[tokio::test]
async fn a_run_that_is_over_stays_over() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let now = at("2026-11-20T12:00:00Z");
    let mut mine = state.create_run(&new("vip"), now).await.expect("made");
    let mut theirs = mine.clone();
    theirs.status = RunStatus::Cancelled;
    state.update_run(&mut theirs, now).await.expect("cancelled elsewhere");
    mine.status = RunStatus::Planning;
    let error = state.update_run(&mut mine, now).await.expect_err("refused");
    assert!(matches!(error, StateError::Transition { from: RunStatus::Cancelled, .. }), "{error:?}");
    assert_eq!(state.run(&mine.id).await.expect("found").status, RunStatus::Cancelled);
}

#[test]
fn statuses_change_only_along_the_life_of_a_run() {
    let mut table = String::new();
    for from in RunStatus::ALL {
        let next: Vec<&str> = RunStatus::ALL
            .into_iter()
            .filter(|to| *to != from && from.may_become(*to))
            .map(RunStatus::as_str)
            .collect();
        assert_eq!(from.terminal(), next.is_empty());
        assert_eq!(from.as_str().parse::<RunStatus>().expect("its own word"), from);
        table.push_str(&format!("{from} -> {}\n", next.join(" ")));
    }
    insta::assert_snapshot!(table, @r"
    queued -> planning failed cancelled
    planning -> held delivering settling failed cancelled
    held -> delivering settling failed discarded cancelled
    delivering -> held settling failed cancelled
    settling -> succeeded partial failed cancelled
    succeeded -> 
    partial -> 
    failed -> 
    discarded -> 
    cancelled -> 
    ");
}

#[tokio::test]
async fn runs_of_one_second_have_ids_of_their_own() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let now = at("2026-11-20T12:00:00Z");
    let mut ids = HashSet::new();
    for _ in 0..300 {
        ids.insert(state.create_run(&new("vip"), now).await.expect("made").id);
    }
    assert_eq!(ids.len(), 300);
    assert_eq!(state.runs(Some("vip"), 250).await.expect("read").len(), 250);
    assert_eq!(state.unfinished_runs().await.expect("read").len(), 300);
}

#[tokio::test]
async fn a_success_is_a_run_that_ended_well() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let now = at("2026-11-20T12:00:00Z");
    let mut good = state.create_run(&new("vip"), now).await.expect("made");
    for status in [RunStatus::Planning, RunStatus::Settling, RunStatus::Partial] {
        good.status = status;
        state.update_run(&mut good, now).await.expect("written");
    }
    let mut bad = state.create_run(&new("vip"), now).await.expect("made");
    bad.status = RunStatus::Failed;
    state.update_run(&mut bad, at("2026-11-20T13:00:00Z")).await.expect("written");
    assert_eq!(state.last_success("vip").await.expect("read"), Some(now));
}

#[tokio::test]
async fn removals_of_the_runs_that_ended_lately_add_up() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    for (sync, end, removals_sent) in [
        ("vip", "2026-11-20T10:00:00Z", 100),
        ("vip", "2026-11-20T11:00:00Z", 20),
        ("vip", "2026-11-20T12:00:00Z", 3),
        ("other", "2026-11-20T12:00:00Z", 4000),
    ] {
        let mut run = state.create_run(&new(sync), at("2026-11-20T09:00:00Z")).await.expect("made");
        run.status = RunStatus::Failed;
        run.counts.removals_sent = removals_sent;
        state.update_run(&mut run, at(end)).await.expect("ended");
    }
    // One that is not over is not counted.
    state.create_run(&new("vip"), at("2026-11-20T12:00:00Z")).await.expect("made");
    let since = |time| state.removals_since("vip", at(time));
    assert_eq!(since("2026-11-20T10:00:00Z").await.expect("read"), 23);
    assert_eq!(since("2026-11-20T09:59:59Z").await.expect("read"), 123);
    assert_eq!(since("2026-11-20T12:00:00Z").await.expect("read"), 0);
}
