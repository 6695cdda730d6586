//! A suppression list counts only when it is whole.

use super::Ads;
use crate::support::project::model;

#[test]
fn a_list_that_shrinks_or_empties_stops_the_run() {
    let ads = Ads::delivered("", "");
    let rows: Vec<String> = (1000..1100).map(|id| format!("({id}, null)")).collect();
    ads.execute(&format!("insert into blocked values (10, null), {}", rows.join(", ")));
    ads.run(0);
    let there = ads.there();
    assert!(!there.contains(&10));

    // 30 of 102 are gone, one of them by mistake.
    ads.execute("delete from blocked where id = 10 or id between 1000 and 1028");
    let stopped = ads.project.backhaul(&["run", "ads"]).expect(5);
    stopped.says(&["suppression list `blocked` has 72 rows and had 102", "max_shrink = 10% beyond 20"]);
    ads.project.backhaul(&["plan", "ads"]).expect(5);
    assert_eq!(ads.there(), there);

    ads.execute("delete from blocked");
    ads.project.edit("backhaul.toml", "model = \"blocked\"", "model = \"blocked\"\nmax_shrink = \"90%\"");
    ads.project.backhaul(&["run", "ads"]).expect(5).says(&["has 0 rows and had 102", "max_shrink = \"100%\""]);
    assert_eq!(ads.there(), there);

    ads.project.edit("backhaul.toml", "\"90%\"", "\"100%\"");
    ads.run(0);
    assert!(ads.there().contains(&10));
}

#[test]
fn a_list_that_cannot_be_read_or_compared_stops_the_run_before_anything_is_sent() {
    let ads = Ads::delivered("", "");
    let stats = ads.sink.stats();
    ads.execute("alter table blocked rename to gone; update people set email = 'new@example.com' where id = 1");
    ads.project.backhaul(&["run", "ads"]).expect(78).says(&["suppression list `blocked`", "no such table: blocked"]);
    ads.execute("alter table gone rename to blocked");

    ads.project.edit("backhaul.toml", "email = \"email\"", "mail = \"email\"");
    let unknown = ads.project.backhaul(&["run", "ads"]).expect(78);
    unknown.says(&["has no column `mail`", "did you mean `email`?", "backhaul.toml"]);
    ads.project.edit("backhaul.toml", "mail = \"email\"", "email = \"email\"");

    ads.execute("insert into blocked values (0.5, null)");
    ads.project.backhaul(&["run", "ads"]).expect(78).says(&["has no exact form"]);
    assert_eq!(ads.sink.stats(), stats);
    ads.execute("delete from blocked where id = 0.5");
    ads.run(0);
}

#[test]
fn a_list_of_files_counts_as_well() {
    let ads = Ads::delivered("", "");
    ads.project.append("backhaul.toml", "\n[warehouses.lake]\ntype = \"files\"\nroot = \"lake\"\nquiet = false\n");
    ads.project.write("lake/blocked.csv", "id,email\n10,\n,P11@example.com\n");
    let files = model("", "id").replace("\"analytics\"", "\"lake\"").replace("sql = ''''''", "files = \"blocked.csv\"");
    ads.project.write("models/blocked.toml", &files);
    ads.run(0);
    let there = ads.there();
    assert!(!there.contains(&10) && !there.contains(&11) && there.len() == 195, "{}", there.len());
    // Cut off in the middle of a line.
    ads.project.write("lake/blocked.csv", "id,email\n10,\n,P11@exa");
    ads.project.backhaul(&["run", "ads"]).expect(75).says(&["suppression list `blocked`"]);
    assert_eq!(ads.there(), there);
}

#[test]
fn a_list_beyond_its_memory_counts_as_well() {
    let ads = Ads::delivered("", "");
    ads.project.append("backhaul.toml", "\n[state]\nmemory = \"8MiB\"\n");
    // A quarter of 8 MiB holds 262,144 values.
    ads.execute(
        "with recursive n(i) as (select 1000 union all select i + 1 from n where i < 300000)
         insert into blocked select i, null from n;
         insert into blocked values (10, null), (null, 'P11@example.com')",
    );
    let run = ads.run(0);
    assert_eq!(run["runs"][0]["counts"]["removed_for"]["suppressed"], 2, "{run}");
    let there = ads.there();
    assert!(!there.contains(&10) && !there.contains(&11) && there.len() == 195, "{}", there.len());
    // What is kept of an approved plan is that of a list of any size, too.
    ads.write_sync("", "max_changed = 0");
    ads.execute("update people set email = 'new' || id || '@example.com' where id in (12, 13)");
    ads.run(5);
    ads.execute("insert into blocked values (12, null)");
    ads.approve(&[], 0);
    let records = ads.sink.records();
    assert_eq!(records["12"]["email"], "p12@example.com", "it is removed by the next run");
    assert_eq!(records["13"]["email"], "new13@example.com");
}
