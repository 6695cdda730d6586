//! Right projects and what they mean.

use std::time::Duration;

use backhaul_kit::{Column, ModelQuery, NullPolicy, Removed, Schema, TypeClass, Value, WritePolicy};

use super::{customers, load, project_over_base};
use crate::config::{
    Begin, Canary, DiffPlace, FieldGuard, FieldSource, OnHold, OnIneligible, OnKeyShift, OnRemap, Project, Schedule,
    Step, Threshold, render,
};
use crate::mapping::digest;
use crate::transform::Normaliser;

fn right(files: &[(&str, &str)]) -> Project {
    let folder = project_over_base(files);
    load(folder.path()).unwrap_or_else(|problems| panic!("{}", render(&problems, false)))
}

fn with_sync(sync: &str) -> Project {
    right(&[("syncs/customers.toml", sync)])
}

const SYNC: &str = r#"
title = "Customers"
owner = "crm-team"
tags = ["crm"]
previously = ["people"]
model = "customers"
where = "plan = 'pro'"
destination = "crm"
diff = "warehouse"
on_hold = "removals"
plan_max_age = "2h"
schedule = { cron = "0 6 * * 1-5", timezone = "Europe/Berlin" }

[into]
object = "contacts"
mode = "upsert"
removed = "archive"
mappings = ["person"]
same_name = ["plan"]

[fields]
customer_id = "customer_id"
firstname = false
greeting = { template = "Hello {{ first_name }}", null = "clear", write = "on_create" }
source = { value = "warehouse" }

[guards]
min_rows = 10
max_added = "5%"
max_changed = 500
max_removed = { percent = "2%", beyond = 50 }
max_removed_per_day = 80
max_withdrawn = "3%"
max_rejected = "10%"
on_remap = "full"
key_shift = "send"
canary = "1%"
canary_max_rejects = "2%"

[guards.fields.source]
floor = 0
ceiling = 9.5
max_step = 3
max_step_per = { step = "20%", window = "24h" }
"#;

#[test]
fn a_sync_is_read_with_everything_it_says() {
    let project = with_sync(SYNC);
    let sync = &project.syncs["customers"];
    assert_eq!(sync.title.as_deref(), Some("Customers"));
    assert_eq!(
        (sync.previously.as_slice(), sync.tags.as_slice()),
        (&["people".to_owned()][..], &["crm".to_owned()][..])
    );
    assert_eq!((sync.filter.as_deref(), sync.diff), (Some("plan = 'pro'"), DiffPlace::Warehouse));
    assert!(matches!(&sync.schedule, Schedule::Cron { zone, .. } if zone.iana_name() == Some("Europe/Berlin")));
    let targets: Vec<&str> = sync.fields.iter().map(|field| field.target.as_str()).collect();
    assert_eq!(targets, ["email", "plan", "customer_id", "greeting", "source"]);
    let place = sync.shape.match_field.as_ref().map(|(place, _)| *place);
    assert_eq!(place, Some(2), "the field that is mapped from the key");
    assert_eq!(sync.fields[2].null, NullPolicy::Skip);
    assert_eq!(sync.fields[0].normalise, Some(Normaliser::Email));
    assert_eq!((sync.fields[3].null, sync.fields[3].write), (NullPolicy::Clear, WritePolicy::OnCreate));
    assert!(matches!(&sync.fields[3].source, FieldSource::Template { columns, .. } if columns == &["first_name"]));
    assert_eq!(sync.fields[4].source, FieldSource::Value(Value::Text("warehouse".into())));
    assert_eq!(sync.guards.min_rows, Some(10));
    assert_eq!(sync.guards.max_added, Some(Threshold::Percent { fraction: 0.05, beyond: 20 }));
    assert_eq!(sync.guards.max_changed, Some(Threshold::Count(500)));
    assert_eq!(sync.guards.max_removed, Threshold::Percent { fraction: 0.02, beyond: 50 });
    assert_eq!((sync.guards.first_run_max, sync.guards.on_remap), (10_000, OnRemap::Full));
    assert_eq!(sync.guards.max_removed_per_day, Some(Threshold::Count(80)));
    assert_eq!(sync.guards.max_withdrawn, Threshold::Percent { fraction: 0.03, beyond: 20 });
    assert_eq!(sync.guards.max_rejected, Threshold::Percent { fraction: 0.1, beyond: 20 });
    assert_eq!((sync.guards.canary, sync.guards.canary_max_rejects), (Some(Canary::Share(0.01)), 0.02));
    assert_eq!((sync.guards.key_shift, sync.on_hold), (OnKeyShift::Send, OnHold::Removals));
    assert_eq!(sync.plan_max_age, Some(Duration::from_secs(7200)));
    let guard = FieldGuard {
        field: "source".into(),
        floor: Some(0.0),
        ceiling: Some(9.5),
        max_step: Some(Step::By(3.0)),
        max_step_per: Some((Step::Share(0.2), Duration::from_secs(86_400))),
    };
    assert_eq!(sync.guards.fields, [guard]);
}

#[test]
fn defaults_are_those_of_the_language() {
    let sync = "model = \"customers\"\ndestination = \"hook\"\n[into]\nmode = \"append\"\nsuccess = { evidence = \"row\" }\nsame_name = [\"email\"]\n";
    let project = with_sync(sync);
    let sync = &project.syncs["customers"];
    assert!(matches!(sync.schedule, Schedule::Manual));
    assert_eq!(sync.shape.removed.0.as_str(), "ignore");
    assert_eq!((sync.fields[0].null, sync.fields[0].write), (NullPolicy::Send, WritePolicy::Always));
    assert_eq!(sync.guards.max_removed, Threshold::Percent { fraction: 0.2, beyond: 100 });
    assert_eq!(sync.guards.max_withdrawn, Threshold::Percent { fraction: 0.1, beyond: 100 });
    assert_eq!(sync.guards.on_remap, OnRemap::Hold);
    assert_eq!(sync.guards.max_rejected, Threshold::Percent { fraction: 0.5, beyond: 100 });
    assert_eq!((sync.guards.max_removed_per_day, sync.guards.canary, sync.plan_max_age), (None, None, None));
    assert_eq!((sync.guards.key_shift, sync.on_hold), (OnKeyShift::Send, OnHold::All), "events have other keys");
    assert_eq!(sync.model.idle_timeout, Duration::from_secs(60));
    assert!(project.state.dir.ends_with(".backhaul/state"));
    assert_eq!((project.state.min_free, project.state.memory), (1 << 30, 64 << 20));
}

#[test]
fn a_sync_goes_over_the_project_s_defaults_key_by_key() {
    let folder = project_over_base(&[("syncs/customers.toml", SYNC)]);
    let root = folder.path().join("backhaul.toml");
    let mut text = std::fs::read_to_string(&root).unwrap();
    text.push_str(
        "\n[defaults]\nowner = \"data\"\n\n[defaults.guards]\nmin_rows = 1\nmax_rows = 99\nfirst_run_max = 5\n",
    );
    std::fs::write(root, text).unwrap();
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", render(&problems, false)));
    let sync = &project.syncs["customers"];
    assert_eq!(sync.owner.as_deref(), Some("crm-team"));
    assert_eq!((sync.guards.min_rows, sync.guards.max_rows, sync.guards.first_run_max), (Some(10), Some(99), 5));
}

#[test]
fn every_guard_may_stand_among_the_project_s_defaults() {
    let (sync, guards) = SYNC.split_once("[guards]").unwrap();
    let guards = format!("max_rows = 99\nfirst_run_max = 5{guards}");
    let base = std::fs::read_to_string(super::fixtures().join("base/backhaul.toml")).unwrap();
    let root = format!("{base}\n[defaults.guards]\n{}", guards.replace("[guards.", "[defaults.guards."));
    let project = right(&[("backhaul.toml", &root), ("syncs/customers.toml", sync)]);
    let own = with_sync(&format!("{sync}[guards]\n{guards}"));
    let [inherited, own] = [&project, &own].map(|project| format!("{:?}", project.syncs["customers"].guards));
    assert_eq!(inherited, own);
    assert_ne!(inherited, format!("{:?}", with_sync(sync).syncs["customers"].guards));
}

#[test]
fn the_place_of_the_sql_is_the_place_of_its_first_character() {
    for (literal, sql) in [
        ("\"select 1\"", "select 1"),
        ("'select \"a\"'", "select \"a\""),
        ("\"\"\"\nselect\n  1\n\"\"\"", "select\n  1\n"),
        ("'''select 1'''", "select 1"),
    ] {
        let model = format!("warehouse = \"analytics\"\nkey = [\"id\"]\nsql = {literal}\n");
        let project = right(&[("models/other.toml", &model)]);
        let model = &project.models["other"];
        assert_eq!(model.query, ModelQuery::Sql(sql.into()));
        let span = model.query_span.as_ref().unwrap();
        assert_eq!(&span.file.text[span.range.clone()], sql);
    }
    let escaped = "warehouse = \"analytics\"\nkey = [\"id\"]\nsql = \"select \\\"a\\\"\"\n";
    assert_eq!(right(&[("models/other.toml", escaped)]).models["other"].query_span, None);
}

#[test]
fn a_model_may_stand_in_a_file_of_sql_or_inside_its_sync() {
    let inline = SYNC.replace("model = \"customers\"\n", "")
        + "\n[model]\nwarehouse = \"analytics\"\nsql_file = \"sql/vip.sql\"\nkey = [\"customer_id\"]\ntimeout = \"1h\"\n";
    let project =
        right(&[("syncs/vip.toml", &inline), ("sql/vip.sql", "select 1\n"), ("syncs/customers.toml", SYNC_TO_HOOK)]);
    let model = &project.models["vip"];
    assert_eq!(model.query, ModelQuery::Sql("select 1\n".into()));
    assert_eq!(model.query_span.as_ref().unwrap().file.path.as_os_str(), "sql/vip.sql");
    assert_eq!(model.timeout, Some(Duration::from_secs(3600)));
    assert_eq!(project.syncs["vip"].model.name, "vip");
}

#[test]
fn a_model_may_be_made_of_files() {
    let folder = project_over_base(&[(
        "models/leads.toml",
        "warehouse = \"lake\"\nfiles = \"leads/\\u002a.csv\"\nkey = [\"id\"]\n",
    )]);
    let root = folder.path().join("backhaul.toml");
    let text = std::fs::read_to_string(&root).unwrap() + "\n[warehouses.lake]\ntype = \"files\"\nroot = \"lake\"\n";
    std::fs::write(root, text).unwrap();
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", render(&problems, false)));
    let model = &project.models["leads"];
    assert_eq!((&model.query, &model.query_span), (&ModelQuery::Files("leads/*.csv".into()), &None));
}

const SYNC_TO_HOOK: &str = "model = \"customers\"\ndestination = \"hook\"\n[into]\nmode = \"append\"\nsuccess = { evidence = \"row\" }\nsame_name = [\"email\"]\n";

#[test]
fn two_syncs_may_match_by_the_same_field() {
    let sync = |field: &str| {
        format!(
            "model = \"customers\"\ndestination = \"crm\"\n[into]\nobject = \"contacts\"\nmode = \"upsert\"\n[fields]\nid = \"customer_id\"\n{field} = \"{field}\"\n"
        )
    };
    right(&[("syncs/customers.toml", &sync("city")), ("syncs/plans.toml", &sync("plan"))]);
}

#[test]
fn a_project_that_is_not_there_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let problems = load(folder.path()).err().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, "missing-file");
    assert!(problems[0].remedy.as_ref().unwrap().contains("backhaul init"));
}

#[test]
fn a_file_that_is_too_large_or_is_none_is_refused() {
    let folder = project_over_base(&[("syncs/large.toml", &"# \n".repeat(400_000))]);
    std::fs::create_dir(folder.path().join("syncs/folder.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere.toml", folder.path().join("syncs/link.toml")).unwrap();
    let codes: Vec<&str> = load(folder.path()).err().unwrap().iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["unreadable-file", "file-too-large", "missing-file"]);
}

#[test]
fn a_link_out_of_the_project_is_no_sql_file() {
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("q.sql"), "select 1").unwrap();
    let folder =
        project_over_base(&[("models/m.toml", "warehouse = \"analytics\"\nkey = [\"id\"]\nsql_file = \"q.sql\"\n")]);
    std::os::unix::fs::symlink(elsewhere.path().join("q.sql"), folder.path().join("q.sql")).unwrap();
    let problems = load(folder.path()).err().unwrap();
    assert_eq!(problems[0].code, "outside-project");
}

#[test]
fn a_file_that_nests_without_end_is_refused() {
    for text in [
        "a = ".to_owned() + &"[".repeat(200_000),
        "a = ".to_owned() + &"{a=".repeat(200_000),
        "a.".repeat(200_000) + "a = 1",
    ] {
        let folder = project_over_base(&[("syncs/deep.toml", &text)]);
        assert!(load(folder.path()).is_err());
    }
}

#[test]
fn no_cut_or_changed_file_makes_the_reader_panic() {
    let base = std::fs::read_to_string(super::fixtures().join("base/backhaul.toml")).unwrap();
    for (path, text) in [("syncs/customers.toml", SYNC), ("backhaul.toml", base.as_str())] {
        let folder = project_over_base(&[]);
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            for cut in [
                text[..at].to_owned(),
                format!("{}={}", &text[..at], &text[at..]),
                format!("{}\"é{}", &text[..at], &text[at..]),
            ] {
                std::fs::write(folder.path().join(path), cut).unwrap();
                if let Err(problems) = load(folder.path()) {
                    assert!(!render(&problems, false).is_empty());
                }
            }
        }
    }
}

fn of(project: &Project, schema: &Schema) -> [u8; 32] {
    digest(&project.syncs["customers"], schema)
}

#[test]
fn the_digest_follows_the_mapping_and_not_the_query() {
    let schema = customers();
    let first = of(&with_sync(SYNC), &schema);
    assert_eq!(first, of(&with_sync(&SYNC.replace("plan = 'pro'", "plan = 'free'")), &schema));
    assert_eq!(first, of(&with_sync(&SYNC.replace("min_rows = 10", "min_rows = 11")), &schema));
    for (old, new) in [
        ("Hello {{", "Hi {{"),
        ("value = \"warehouse\"", "value = \"db\""),
        ("null = \"clear\"", "null = \"skip\""),
        ("same_name = [\"plan\"]", "same_name = [\"city\"]"),
        ("write = \"on_create\"", "write = \"always\""),
        ("firstname = false", "firstname = { column = \"first_name\", default = \"you\" }"),
    ] {
        assert!(SYNC.contains(old));
        assert_ne!(first, of(&with_sync(&SYNC.replace(old, new)), &schema), "{old}");
    }
    #[cfg(feature = "phone")]
    {
        let dialled = |country: &str| {
            let field = format!("phone = {{ column = \"city\", as = \"phone\"{country} }}\nfirstname = false");
            of(&with_sync(&SYNC.replace("firstname = false", &field)), &schema)
        };
        let in_column = |column: &str| format!(", country = {{ column = \"{column}\" }}");
        let [is_plan, is_email] = ["plan", "email"].map(in_column);
        let countries = ["", ", country = \"DE\"", ", country = \"AT\"", &is_plan, &is_email];
        let digests: std::collections::BTreeSet<_> = countries.iter().map(|country| dialled(country)).collect();
        assert_eq!(digests.len(), countries.len());
    }
    let mut wider = customers();
    wider.columns[0] = Column { name: "customer_id".into(), class: TypeClass::Integer, native: "int4".into() };
    assert_eq!(first, of(&with_sync(SYNC), &wider), "another width is the same class");
    wider.columns[0].class = TypeClass::Text;
    assert_ne!(first, of(&with_sync(SYNC), &wider));
}

#[test]
fn whoever_may_not_be_sent_is_removed_as_is_written_and_what_left_is_not() {
    let root = std::fs::read_to_string(super::fixtures().join("base/backhaul.toml")).unwrap()
        + "\n[suppression.do-not-contact]\nmodel = \"customers\"\non = { email = \"email\" }\n";
    let sync = |people: &str, removed: &str| {
        let text = format!(
            "model = \"customers\"\ndestination = \"crm\"\nsuppress = [\"do-not-contact\"]\n{people}\n[into]\n\
             object = \"contacts\"\nmode = \"upsert\"\n{removed}\n[fields]\ncustomer_id = \"customer_id\"\nplan = \"plan\"\n"
        );
        let project = right(&[("backhaul.toml", &root), ("syncs/customers.toml", &text)]);
        let sync = &project.syncs["customers"];
        (sync.people.on_ineligible, sync.shape.removed.0, sync.removes_left)
    };
    for (how, removed) in [("archive", Removed::Archive), ("clear", Removed::Clear)] {
        let people = format!("on_ineligible = \"{how}\"");
        assert_eq!(sync(&people, ""), (OnIneligible::Remove, removed, false));
        // One way for both may be written twice.
        let both = format!("removed = \"{how}\"");
        assert_eq!(sync(&people, &both), (OnIneligible::Remove, removed, true));
        assert_eq!(sync("on_ineligible = \"remove\"", &both), (OnIneligible::Remove, removed, true));
        assert_eq!(sync("", &both), (OnIneligible::Freeze, removed, true));
    }
    assert_eq!(sync("on_ineligible = \"freeze\"", ""), (OnIneligible::Freeze, Removed::Ignore, false));
}

#[test]
fn a_model_that_grows_says_where_it_begins() {
    let of = |incremental: &str, into: &str| {
        let model = format!(
            "warehouse = \"analytics\"\ntable = \"marts.customers\"\nkey = [\"customer_id\"]\nincremental = {incremental}\n"
        );
        let sync = format!(
            "model = \"customers\"\ndestination = \"hook\"\n[into]\n{into}\nsuccess = {{ evidence = \"call\" }}\n\
             [fields]\nid = \"customer_id\"\n"
        );
        let defaults = "version = 1\n[warehouses.analytics]\ntype = \"postgres\"\nurl = { secret = \"u\" }\n\
                        [destinations.hook]\ntype = \"http\"\nurl = \"https://example.com\"\n[defaults.guards]\nmin_rows = 5\n";
        let files = [("models/customers.toml", &*model), ("syncs/customers.toml", &*sync), ("backhaul.toml", defaults)];
        right(&files).syncs["customers"].clone()
    };
    let at = |text: &str| Begin::At(text.parse().expect("a time"));
    for (written, begin) in [
        ("\"all\"", Begin::All),
        ("\"now\"", Begin::Now),
        ("2026-11-01", at("2026-11-01T00:00:00Z")),
        ("2026-11-01T08:00:00", at("2026-11-01T08:00:00Z")),
        ("2026-11-01T08:00:00.5+02:00", at("2026-11-01T06:00:00.5Z")),
    ] {
        let sync = of(&format!("{{ column = \"at\", begin = {written} }}"), "mode = \"append\"");
        let incremental = sync.model.incremental.as_ref().expect("it grows");
        assert_eq!((incremental.begin, incremental.lookback), (begin, Duration::from_secs(3600)), "{written}");
        assert_eq!((incremental.column.as_str(), sync.ignores_changed), ("at", true));
        assert_eq!(sync.guards.min_rows, None, "the defaults are meant for whole models");
    }
    let incremental = "{ column = \"at\", lookback = \"2h\", begin = \"all\" }";
    let sync = of(incremental, "mode = \"append\"\nchanged = \"send\"");
    assert!(!sync.ignores_changed);
    assert_eq!(sync.model.incremental.as_ref().map(|i| i.lookback), Some(Duration::from_secs(7200)));
    assert!(!of(incremental, "mode = \"upsert\"").ignores_changed);
}

#[test]
fn a_sync_of_a_whole_model_sends_changes_and_may_send_rows_again() {
    let sync = "model = \"customers\"\ndestination = \"hook\"\nrefresh_after = \"500d\"\n[into]\nmode = \"upsert\"\n\
                success = { evidence = \"call\" }\n[fields]\nid = \"customer_id\"\n";
    let project = with_sync(sync);
    let customers = &project.syncs["customers"];
    assert_eq!(customers.refresh_after, Some(Duration::from_secs(500 * 86_400)));
    let append =
        |more: &str| sync.replace("upsert\"", &format!("append\"{more}")).replace("refresh_after = \"500d\"", "");
    assert!(!with_sync(&append("")).syncs["customers"].ignores_changed);
    assert!(with_sync(&append("\nchanged = \"ignore\"")).syncs["customers"].ignores_changed);
}
