//! Checks as written in a sync's file, over pages.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::{Fault, Projection, RowDigest, RowPage, Value, key};
use jiff::Timestamp;

use super::*;
use crate::config::SyncDef;
use crate::config::tests::{customers, load, project_over_base};
use crate::diff::RowMapper as _;
use crate::mapping::Mapper;
use crate::snapshot::StateKey;
use crate::snapshot::file::{FreeSpace, NewFile};
use crate::snapshot::sealed::{SealedKind, SealedWriter};

const SYNC: &str = "model = \"customers\"\ndestination = \"hook\"\n[into]\nmode = \"append\"\n\
                    success = { evidence = \"row\" }\nsame_name = [\"email\"]\n";

/// The base project's sync with more in its file.
fn sync(more: &str) -> Arc<SyncDef> {
    let (top, checks) = more.split_once("[checks]").unwrap_or((more, ""));
    let folder = project_over_base(&[("syncs/customers.toml", &format!("{top}{SYNC}[checks]{checks}"))]);
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", crate::config::render(&problems, false)));
    project.syncs["customers"].clone()
}

/// Rows of `customer_id`, `email` and what is checked besides. Nobody may ask for a whole row.
struct Page {
    rows: Vec<Vec<Value>>,
    asked: RefCell<BTreeSet<usize>>,
}

impl RowPage for Page {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn digest(&self, _: &mut Vec<RowDigest>) -> Result<(), Fault> {
        unreachable!("checks compare nothing")
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend(key::encode(&[&self.rows[row][0]]).map_err(|_| Fault::bug("no key"))?);
        Ok(())
    }

    fn record(&self, _: usize) -> Result<Vec<Value>, Fault> {
        unreachable!("only checked columns are decoded")
    }

    fn value(&self, row: usize, column: usize) -> Result<Value, Fault> {
        self.asked.borrow_mut().insert(column);
        Ok(self.rows[row][column].clone())
    }
}

struct Judged {
    findings: Vec<Finding>,
    columns: Vec<String>,
    asked: BTreeSet<usize>,
}

impl Judged {
    fn texts(&self) -> Vec<&str> {
        self.findings.iter().map(|finding| finding.text.as_str()).collect()
    }
}

const NOW: &str = "2026-11-20T12:00:00Z";

fn judge_with(more: &str, rows: &[Vec<Value>], memory: u64, past: Vec<u64>) -> Judged {
    let sync = sync(more);
    let mapper = Mapper::compile(&sync, &customers()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut projection: Projection = mapper.projection(7);
    let fingerprinted = projection.fingerprinted;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, key) = (folder.path().join("values"), StateKey::random().expect("a key"));
    let scratch =
        move || SealedWriter::new(NewFile::scratch(Path::new(&file), FreeSpace::ANY)?, &key, SealedKind::Spill);
    let mut checker = Checker::new(&sync.checks, sync.on_bad_row, &mut projection, memory, Box::new(scratch));
    assert_eq!((fingerprinted, projection.fingerprinted), (2, 2), "a check changes no fingerprint");
    let count = rows.len() as u64;
    let mut asked = BTreeSet::new();
    // Two pages: what is repeated may stand in either.
    let (first, second) = rows.split_at(rows.len() / 2);
    for rows in [first, second] {
        let page = Page { rows: rows.to_vec(), asked: RefCell::default() };
        checker.page(&page).expect("a page");
        asked.extend(page.asked.into_inner());
    }
    let past = Past { now: NOW.parse().expect("a time"), rows: past };
    let repeated = |column: &str| Some(format!("select {column}"));
    Judged { findings: checker.finish(count, &past, repeated).expect("findings"), columns: projection.columns, asked }
}

fn judge(more: &str, rows: &[Vec<Value>]) -> Judged {
    judge_with(more, rows, 64 << 20, Vec::new())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Rows 101, 102, … with these values in the third column.
fn column(values: &[Value]) -> Vec<Vec<Value>> {
    (101..).zip(values).map(|(id, value)| vec![Value::Int(id), text("a@example.com"), value.clone()]).collect()
}

#[test]
fn each_check_of_rows_counts_what_fails_and_names_masked_keys() {
    let cases: [(&str, &[Value], &str); 8] = [
        ("not_null = [\"plan\"]", &[Value::Null, text("")], "`plan` is NULL in 1 of 2 rows, as 1••••"),
        (
            "unique = [\"plan\"]",
            &[text("a"), Value::Null, text("a"), Value::Null, text("b")],
            "`plan` repeats the value of another row in 1 of 5 rows; find them: select plan",
        ),
        (
            "accepted_values = { plan = [\"free\", \"pro\"] }",
            &[text("free"), text("Pro"), Value::Null, text("x")],
            "`plan` is none of the 2 accepted values in 2 of 4 rows, as 1••••, 1••••",
        ),
        (
            "regex = { plan = '^p\\d$' }",
            &[text("p1"), text("p12"), Value::Null],
            "`plan` does not match ^p\\d$ in 1 of 3 rows, as 1••••",
        ),
        (
            "range = { revenue = { min = 0, max = 10.5 } }",
            &[
                Value::Decimal("10.50".into()),
                Value::Int(0),
                Value::Null,
                Value::Float(10.6),
                text("-1"),
                text("x"),
                Value::Invalid("NaN".into()),
            ],
            "`revenue` is not within 0 to 10.5 in 4 of 7 rows, as 1••••, 1••••, 1••••, 1••••",
        ),
        (
            "range = { revenue = { min = 1 } }",
            &[Value::Int(1), Value::Int(0)],
            "`revenue` is not 1 or more in 1 of 2 rows, as 1••••",
        ),
        (
            "range = { revenue = { max = 1 } }",
            &[Value::Int(1), Value::Int(2)],
            "`revenue` is not 1 or less in 1 of 2 rows, as 1••••",
        ),
        (
            "not_null = [\"plan\"]",
            &[const { Value::Null }; 6],
            "`plan` is NULL in 6 of 6 rows, as 1••••, 1••••, 1••••, 1••••, 1••••",
        ),
    ];
    for (check, values, expected) in cases {
        let judged = judge(&format!("[checks]\n{check}\n"), &column(values));
        let name = judged.findings[0].check;
        assert_eq!(judged.texts(), [format!("check {name}: {expected}")]);
        assert_eq!(judged.findings[0].severity, CheckSeverity::Hold);
        assert_eq!(judged.asked, BTreeSet::from([2]), "only the checked column is decoded");
        let passing: Vec<Value> = values.iter().filter(|value| value.is_null()).cloned().collect();
        if !check.starts_with("not_null") {
            assert!(
                judge(&format!("[checks]\n{check}\n"), &column(&passing)).findings.is_empty(),
                "NULL passes {check}"
            );
        }
    }
}

#[test]
fn a_column_of_no_field_is_fetched_behind_the_others_and_without_checks_nothing_is() {
    let judged = judge("[checks]\nnot_null = [\"email\", \"plan\"]\n", &column(&[text("x")]));
    assert_eq!(judged.columns, ["customer_id", "email", "plan"]);
    assert_eq!(judged.asked, BTreeSet::from([1, 2]));
    let judged = judge("", &column(&[text("x")]));
    assert_eq!((judged.columns.len(), judged.asked.len(), judged.findings.len()), (2, 0, 0));
}

#[test]
fn a_warning_holds_nothing() {
    let more = "[checks]\nnot_null = [{ column = \"plan\", severity = \"warn\" }]\nregex = { plan = \"x\" }\n";
    let judged = judge(more, &column(&[Value::Null, text("y")]));
    assert_eq!(warnings(&judged.findings), ["check not_null: `plan` is NULL in 1 of 2 rows, as 1••••"]);
    let held: Vec<Hold> = holds(&judged.findings).collect();
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].code.as_str(), held[0].text.as_str()), ("check:regex", judged.texts()[1]));
}

#[test]
fn repeated_values_are_found_beyond_the_memory() {
    let values: Vec<Value> = (0..5000).map(|n| Value::Int(n % 4990)).collect();
    let judged = judge_with("[checks]\nunique = [\"plan\"]\n", &column(&values), 400, Vec::new());
    assert!(judged.texts()[0].contains("in 10 of 5000 rows"), "{:?}", judged.texts());
    let distinct: Vec<Value> = (0..5000).map(Value::Int).collect();
    assert!(judge_with("[checks]\nunique = [\"plan\"]\n", &column(&distinct), 400, Vec::new()).findings.is_empty());
}

#[test]
fn the_newest_value_counts() {
    let check = "[checks]\nfreshness = { column = \"signed_up_at\", within = \"6h\" }\n";
    let at = |time: &str| Value::Timestamp(time.parse::<Timestamp>().expect("a time").as_microsecond());
    let old = [at("2026-11-19T00:00:00Z"), at("2026-11-20T04:48:00Z"), Value::Null];
    let said = "check freshness: `signed_up_at`: the newest value is 7h 12m old, and may be 6h";
    assert_eq!(judge(check, &column(&old)).texts(), [said]);
    for fresh in [at("2026-11-20T06:00:00Z"), at("2026-11-21T00:00:00Z"), text("2026-11-20 11:00:00"), text(NOW)] {
        let values = [old[0].clone(), fresh.clone(), old[1].clone()];
        assert!(judge(check, &column(&values)).findings.is_empty(), "{fresh:?}");
    }
    let none = "check freshness: `signed_up_at`: no row has a time, and the newest may be 6h old";
    assert_eq!(judge(check, &[]).texts(), [none]);
    assert_eq!(judge(check, &column(&[Value::Null, text("yesterday")])).texts(), [none]);
}

#[test]
fn the_number_of_rows_is_held_against_the_median_of_the_last_runs() {
    let check = "[checks]\nrow_count = { within = \"20%\", runs = 3 }\n";
    let count = |rows: usize, past: &[u64]| {
        let rows = column(&vec![Value::Null; rows]);
        judge_with(check, &rows, 64 << 20, past.to_vec()).texts().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(count(7, &[]).is_empty(), "nothing is usual yet");
    assert!(count(8, &[10, 9, 11, 100, 100]).is_empty(), "exactly 20 % fewer; older runs do not count");
    assert_eq!(
        count(7, &[10, 9, 11, 100]),
        ["check row_count: 7 rows, 30% fewer than the 10 that are usual (median of 3), beyond 20%"]
    );
    assert_eq!(
        count(13, &[9, 11])[0],
        "check row_count: 13 rows, 30% more than the 10 that are usual (median of 2), beyond 20%"
    );
}

#[test]
fn a_row_that_fails_is_skipped_where_the_sync_says_so() {
    let more = "on_bad_row = \"skip\"\n[checks]\nnot_null = [\"plan\"]\nunique = [\"plan\"]\n\
                range = { revenue = { min = 0, severity = \"warn\" } }\n";
    let rows: Vec<Vec<Value>> = [Value::Null, text("a"), text("a")]
        .into_iter()
        .map(|plan| vec![Value::Int(1), text("a@example.com"), plan, Value::Int(-1)])
        .collect();
    let judged = judge(more, &rows);
    let found: Vec<_> = judged.findings.iter().map(|finding| (finding.check, finding.severity)).collect();
    assert_eq!(found, [("unique", CheckSeverity::Hold), ("range", CheckSeverity::Warn)]);

    let sync = sync(more);
    let mapper = Mapper::compile(&sync, &customers()).expect("a mapping");
    let screened = Screened::new(mapper, &sync.checks, sync.on_bad_row, &judged.columns);
    let refused = screened.map(&rows[0]).expect_err("a bad row");
    assert_eq!((refused.code.as_str(), refused.text.as_str()), ("check:not_null", "column `plan` is NULL"));
    assert_eq!(screened.map(&rows[1]).expect("a row").len(), 1);
}

#[test]
fn rows_that_the_mapping_refuses_hold_the_plan_only_where_the_sync_says_so() {
    let counts = |rejected| PlanCounts { rejected, ..PlanCounts::default() };
    let held = bad_rows(&counts(2), Some(OnBadRow::Hold)).expect("held");
    assert_eq!(
        (held.code.as_str(), held.text.as_str()),
        ("bad_rows", "2 rows are refused by the mapping, and on_bad_row = \"hold\"")
    );
    assert_eq!(bad_rows(&counts(0), Some(OnBadRow::Hold)), None);
    assert_eq!(bad_rows(&counts(2), Some(OnBadRow::Skip)), None);
    assert_eq!(bad_rows(&counts(2), None), None);
}

#[test]
fn a_sync_s_check_goes_over_its_model_s() {
    let model = "warehouse = \"analytics\"\nsql = \"select 1\"\nkey = [\"customer_id\"]\n\
                 [checks]\nnot_null = [\"email\", \"plan\"]\nrow_count = \"10%\"\n";
    let own = format!("{SYNC}[checks]\nnot_null = [{{ column = \"plan\", severity = \"warn\" }}]\n");
    let folder = project_over_base(&[("models/customers.toml", model), ("syncs/customers.toml", &own)]);
    let project = load(folder.path()).unwrap_or_else(|problems| panic!("{}", crate::config::render(&problems, false)));
    let checks = &project.syncs["customers"].checks;
    let told: Vec<_> = checks.iter().map(|check| (check.kind.name(), check.kind.column(), check.severity)).collect();
    let (warn, hold) = (CheckSeverity::Warn, CheckSeverity::Hold);
    assert_eq!(told, [("not_null", Some("email"), hold), ("row_count", None, hold), ("not_null", Some("plan"), warn)]);
    assert!(matches!(checks[1].kind, CheckKind::RowCount { within, runs: 5 } if within == 0.1));
}
