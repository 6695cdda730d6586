//! What a person wants is done from a held run too, and not beyond its own limit.

use super::{Ads, set};
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};

#[test]
fn from_a_held_run_those_who_may_not_be_sent_leave_first_and_nothing_else_moves() {
    let ads = Ads::delivered("", "max_removed = 0");
    let before = ads.there();
    ads.execute(
        "insert into blocked values (10, null);
         update people set ads = null where id = 11;
         delete from people where id in (20, 21);
         insert into people values (300, 'new@example.com', 'granted');",
    );
    let ended = ads.run(5);
    let runs = ended["runs"].as_array().expect("runs");
    let statuses: Vec<&str> = runs.iter().filter_map(|run| run["status"].as_str()).collect();
    assert_eq!(statuses, ["succeeded", "held"], "{ended}");
    assert!(runs[0]["warnings"][0].as_str().is_some_and(|text| text.contains("1 withdrawn, 1 suppressed")), "{ended}");
    assert_eq!(ads.there(), before.difference(&set([10, 11])).copied().collect());

    ads.approve(&[], 0);
    let rest = before.difference(&set([10, 11, 20, 21])).copied().chain([300]).collect();
    assert_eq!(ads.there(), rest);
}

#[test]
fn people_to_erase_leave_first_and_are_told_apart_from_those_suppressed() {
    let ads = Ads::delivered("", "max_removed = 0");
    ads.write_sync("suppress = [\"blocked\", \"erasure\"]", "max_removed = 0");
    ads.project.append(
        "backhaul.toml",
        "\n[suppression.erasure]\nmodel = \"erasure\"\non = { id = \"id\" }\ncause = \"erased\"\n",
    );
    ads.project.write("models/erasure.toml", &crate::support::project::model("select * from erasure", "id"));
    let before = ads.there();
    // 11 is on both lists; 20 left the model, which its guard holds.
    ads.execute(
        "create table erasure (id bigint);
         insert into erasure values (10), (11);
         insert into blocked values (11, null), (12, null);
         delete from people where id = 20;",
    );
    ads.project.backhaul(&["plan", "ads"]).expect(0).says(&["(2 erased, 1 suppressed)"]);
    let ended = ads.run(5);
    let counts = &ended["runs"][0]["counts"];
    assert_eq!(
        (&counts["removed_for"]["erased"], &counts["removed_for"]["suppressed"]),
        (&2.into(), &1.into()),
        "{ended}"
    );
    assert_eq!(ads.there(), before.difference(&set([10, 11, 12])).copied().collect());
}

#[test]
fn with_a_held_mapping_change_they_leave_and_the_change_stays_held() {
    let ads = Ads::delivered("", "");
    let before = ads.there();
    ads.project.append("syncs/ads.toml", "\n[fields]\nsource = { value = \"warehouse\" }\n");
    ads.execute("insert into blocked values (10, null)");
    ads.run(5);
    assert_eq!(ads.there(), before.difference(&set([10])).copied().collect());
    assert!(ads.sink.records().values().all(|record| record.get("source").is_none()));
    assert_eq!(ads.held(), ads.held());
    ads.approve(&[], 0);
    assert!(ads.sink.records().values().all(|record| record["source"] == "warehouse"));
}

#[test]
fn a_canary_that_fails_does_not_keep_them() {
    let ads = Ads::delivered("", "canary = 1");
    let before = ads.there();
    ads.execute(
        "insert into blocked values (10, null);
         insert into people values (300, 'a@example.com', 'granted'), (301, 'b@example.com', 'granted');",
    );
    ads.sink.reject(&[300, 301], "NO", "not that one");
    ads.run(5);
    assert_eq!(ads.there(), before.difference(&set([10])).copied().collect());
}

#[test]
fn held_back_removals_of_what_left_do_not_keep_them_nor_those_held_out() {
    let ads = Ads::delivered("on_hold = \"removals\"", "max_removed = 0");
    ads.project.edit("backhaul.toml", "percent = \"0%\"", "percent = \"20%\"");
    ads.execute(
        "insert into blocked values (10, null);
         delete from people where id in (20, 21);
         insert into people values (300, 'new@example.com', 'granted');",
    );
    let from = ads.sink.stats().rows;
    let ended = ads.run(5);
    let counts = &ended["runs"][0]["counts"];
    assert_eq!((&counts["held_back"], &counts["removed_for"]["suppressed"]), (&2.into(), &1.into()), "{ended}");
    let [held_out, added] =
        [&counts["removed_for"]["held_out"], &counts["added"]].map(|n| n.as_u64().expect("a count"));
    assert!(held_out > 10, "{ended}");
    let there = ads.there();
    assert_eq!(there.len() as u64, 197 + added - held_out - 1, "those held out are gone, 20 and 21 are not");
    assert!(there.contains(&20) && there.contains(&21) && !there.contains(&10));
    let first = applied_since(&ads.sink, from).into_iter().next().expect("a row");
    assert_eq!((first.change, first.key.as_str()), (Change::Delete, "10"), "it goes before all others");
}

#[test]
fn too_many_at_once_are_held_and_told_and_can_be_let_go() {
    let ads = Ads::delivered("", "max_withdrawn = \"10%\"");
    let before = ads.there();
    // A release has renamed the word.
    ads.execute("update people set ads = 'yes' where id > 20");
    let ended = ads.run(5);
    assert_eq!(ended["runs"].as_array().map(Vec::len), Some(1), "{ended}");
    assert_eq!(ads.there(), before);
    let told = ads.project.backhaul(&["status"]).expect(0);
    told.says(&["180 removals of people who may not be sent any more", "above max_withdrawn = 10% beyond 20"]);
    ads.approve(&["--allow", "max_withdrawn=95%"], 0);
    assert_eq!(ads.there(), before.iter().copied().filter(|id| *id <= 20).collect());
}

#[test]
fn whoever_withdraws_while_a_plan_is_held_is_not_sent_when_it_is_approved() {
    let ads = Ads::delivered("", "");
    ads.write_sync("", "max_added = 2");
    let before = ads.there();
    ads.execute(
        "insert into people values (300, 'a@example.com', 'granted'), (301, 'b@example.com', 'granted'),
         (302, 'c@example.com', 'granted'), (303, 'd@example.com', 'granted')",
    );
    ads.run(5);
    ads.execute("insert into blocked values (300, null); update people set ads = null where id = 301");
    let from = ads.sink.stats().rows;
    ads.approve(&[], 0);
    assert_eq!(ads.there(), before.iter().copied().chain([302, 303]).collect());
    assert_eq!(keys(&applied_since(&ads.sink, from), Change::Put).len(), 2);
    let shown = ads.project.backhaul(&["runs", "ads", "--limit", "1", "--output", "json"]).expect(0).json();
    assert_eq!(shown["runs"][0]["counts"]["vetoed"], 2, "{shown}");
    assert_eq!(ads.run(0)["runs"][0]["calls"], 0);
}

#[test]
fn an_interrupted_run_asks_again_before_it_goes_on() {
    let mut ads = Ads::delivered("", "");
    let before = ads.there();
    ads.execute(
        "insert into people values (300, 'a@example.com', 'granted'), (301, 'b@example.com', 'granted');
         insert into people values (302, 'c@example.com', 'granted');",
    );
    ads.project.set_variable("FAILPOINTS", "deliver::before_send=return");
    assert_eq!(ads.project.backhaul(&["run", "ads"]).code, None);
    ads.project.set_variable("FAILPOINTS", "");
    ads.execute("insert into blocked values (300, null)");
    let from = ads.sink.stats().rows;
    let code = ads.project.backhaul(&["run", "ads"]).code;
    assert!(matches!(code, Some(0 | 75)), "{code:?}");
    ads.run(0);
    assert_eq!(ads.there(), before.iter().copied().chain([301, 302]).collect());
    assert!(!keys(&applied_since(&ads.sink, from), Change::Put).contains("300"));
}

#[test]
fn whoever_withdraws_while_a_run_is_held_leaves_with_the_next_run() {
    let ads = Ads::delivered("", "max_removed = 0");
    let before = ads.there();
    ads.execute("delete from people where id = 20");
    ads.run(5);
    let held = ads.held();
    ads.run(5);
    assert_eq!(ads.held(), held, "nothing has come up");
    ads.execute("update people set ads = null where id = 11");
    ads.run(5);
    assert_eq!(ads.there(), before.difference(&set([11])).copied().collect());
    assert_ne!(ads.held(), held, "what was looked at is not what would be sent");
    ads.approve(&[], 0);
    assert_eq!(ads.there(), before.difference(&set([11, 20])).copied().collect());
}
