//! Members that are found by the hashes they were sent as.

use super::*;

/// A row that is found by these words.
fn row(id: i64, hashes: &str) -> TestRow {
    TestRow::new(id, hashes, 0)
}

impl Sync {
    fn plan_hashes(&mut self, rows: &[TestRow]) -> PlanReader {
        let request = PlanRequest { hashes: true, match_field: None, ..self.next_request() };
        self.plan(rows, request)
    }

    fn run_hashes(&mut self, rows: &[TestRow]) -> PlanReader {
        let plan = self.plan_hashes(rows);
        self.settle(&plan, &Fates::default());
        plan
    }
}

/// Key, kind and what the op's record was found by.
fn old(plan: &PlanReader) -> Vec<(i64, OpKind, Vec<String>)> {
    let of = |op: &Op| (id_of(&op.key), op.kind, op.old_address.hashes().map(str::to_owned).collect());
    let mut told: Vec<_> = ops(plan).iter().map(of).collect();
    told.sort_by_key(|(id, ..)| *id);
    told
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_removal_has_the_hashes_that_were_sent_last_and_leaves_those_of_live_rows_alone() {
    let mut sync = Sync::new();
    sync.run_hashes(&[row(1, "e1 home"), row(2, "e2 home"), row(3, "e3"), row(4, "e4 mobile"), row(5, "e5")]);
    // 2 stays with the number that 1 had too; a new row takes all of 3, another a part of 4.
    let plan = sync.plan_hashes(&[row(2, "e2 home"), row(6, "e3 e6"), row(7, "mobile")]);
    let expected = [
        (1, OpKind::Remove, words("e1")),
        (3, OpKind::Forget, words("e3")),
        (4, OpKind::Remove, words("e4")),
        (5, OpKind::Remove, words("e5")),
        (6, OpKind::Add, Vec::new()),
        (7, OpKind::Add, Vec::new()),
    ];
    assert_eq!(old(&plan), expected);
}

#[test]
fn a_row_whose_hashes_change_is_moved_and_with_none_left_too() {
    let mut sync = Sync::new();
    sync.run_hashes(&[row(1, "e1 home"), row(2, "e2")]);
    let plan = sync.run_hashes(&[row(1, "new home"), row(2, "")]);
    assert_eq!(old(&plan), [(1, OpKind::Move, words("e1 home")), (2, OpKind::Move, words("e2"))]);
    assert_eq!(sync.records()[&1].address.match_value.as_deref(), Some("new\nhome"));
}

#[test]
fn in_doubt_all_that_was_sent_is_remembered() {
    let mut sync = Sync::new();
    sync.run_hashes(&[row(1, "a home")]);
    for (now, known) in [("b home", "a\nhome\nb"), ("c", "a\nhome\nb\nc")] {
        let plan = sync.plan_hashes(&[row(1, now)]);
        sync.settle(&plan, &Fates::all(&plan, Settle::InDoubt));
        assert_eq!(sync.records()[&1].address.match_value.as_deref(), Some(known));
    }
    let plan = sync.plan_hashes(&[]);
    assert_eq!(old(&plan), [(1, OpKind::Remove, words("a home b c"))]);
}
