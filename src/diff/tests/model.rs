//! Any sequence of row sets, in any order, with any fates, gives exactly what a naive model gives.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::random::{Order, Random};
use super::*;
use crate::snapshot::{FieldHasher, IN_DOUBT, Limits, UNKNOWN_FIELD};

/// Around the sizes of the look-ahead and of a block.
const SIZES: [i64; 10] = [0, 1, 2, 16, 17, 255, 256, 257, 520, 900];

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) seed: u64,
    keys: i64,
    absent: u64,
    changed: u64,
    pub(super) unsettled: u64,
    pub(super) order: Order,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let order = prop_oneof![
        Just(Order::Same),
        Just(Order::Rotated),
        Just(Order::Reversed),
        Just(Order::Chunks),
        Just(Order::Random),
    ];
    let percent = || prop_oneof![Just(0u64), Just(1), Just(10), Just(60)];
    (any::<u64>(), 0..SIZES.len(), percent(), percent(), percent(), order).prop_map(
        |(seed, size, absent, changed, unsettled, order)| Step {
            seed,
            keys: SIZES[size],
            absent,
            changed,
            unsettled,
            order,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let overlay = prop_oneof![Just(0u64), Just(20), Just(100_000)];
    let sorted = prop_oneof![Just(700usize), Just(1 << 20)];
    let in_memory = prop_oneof![Just(0usize), Just(30), Just(1 << 20)];
    (overlay, sorted, in_memory, 1..4usize).prop_map(|(overlay_entries, sort_bytes, overlay_in_memory, segments)| {
        Limits { overlay_entries, base_records_per_entry: 20, segments, overlay_in_memory, sort_bytes }
    })
}

/// What the naive model knows of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// `None` in doubt.
    pub(super) accepted: Option<TestRow>,
    pub(super) address: Address,
    pub(super) fields: Vec<u32>,
}

pub(super) type Naive = BTreeMap<i64, Known>;

/// The ops that a plan must have.
pub(super) fn expected(naive: &Naive, rows: &[TestRow], mapper: &TestMapper) -> BTreeMap<i64, OpKind> {
    let mut ops = BTreeMap::new();
    let mut claimed = BTreeSet::new();
    for row in rows {
        let id = row.id.expect("a key");
        let known = naive.get(&id);
        claimed.extend(known.into_iter().flat_map(|k| [k.address.remote_id.clone(), k.address.match_value.clone()]));
        if known.and_then(|k| k.accepted.as_ref()) == Some(row) {
            continue;
        }
        let Ok(fields) = mapper.map(&row.record()) else {
            ops.insert(id, OpKind::Reject);
            continue;
        };
        claimed.insert(Some(row.email.clone()));
        let kind = match known {
            None => OpKind::Add,
            Some(Known { accepted: Some(old), .. }) if mapper.map(&old.record()) == Ok(fields) => OpKind::Touch,
            Some(Known { address, .. }) if address.match_value.as_ref() != Some(&row.email) => OpKind::Move,
            Some(_) => OpKind::Change,
        };
        ops.insert(id, kind);
    }
    let live: BTreeSet<i64> = rows.iter().filter_map(|row| row.id).collect();
    for (id, known) in naive.iter().filter(|(id, _)| !live.contains(id)) {
        let parts = [known.address.remote_id.clone(), known.address.match_value.clone()];
        let kept = parts.iter().any(|part| part.is_some() && claimed.contains(part));
        ops.insert(*id, if kept { OpKind::Forget } else { OpKind::Remove });
    }
    ops
}

/// What a settled op makes of the naive model.
pub(super) fn apply(naive: &mut Naive, op: &Op, fates: &Fates, rows: &BTreeMap<i64, TestRow>, hasher: &FieldHasher) {
    let id = id_of(&op.key);
    let fate = match op.kind {
        OpKind::Forget if op.fingerprint > 0 && fates.fate(op.fingerprint - 1) == Settle::Kept => Settle::Kept,
        OpKind::Touch | OpKind::Forget => Settle::Accepted,
        OpKind::Reject => Settle::Kept,
        _ => fates.fate(op.number),
    };
    let leaves = matches!(op.kind, OpKind::Remove | OpKind::Forget);
    let old = naive.get(&id).cloned();
    let old_address = old.as_ref().map(|k| k.address.clone()).unwrap_or_default();
    let remote_id = op.kind.is_sent().then(|| fates.ids.get(&op.number).cloned()).flatten();
    let remote_id = remote_id.or(old_address.remote_id);
    match fate {
        Settle::Kept => {}
        Settle::Accepted if leaves => {
            naive.remove(&id);
        }
        Settle::Accepted => {
            let row = rows[&id].clone();
            let address = Address { remote_id, match_value: Some(row.email.clone()) };
            let fields = hasher.hashes(&TestMapper::usual().map(&row.record()).expect("mapped").iter().collect());
            naive.insert(id, Known { accepted: Some(row), address, fields });
        }
        Settle::InDoubt => {
            let match_value = old_address.match_value.or_else(|| rows.get(&id).map(|row| row.email.clone()));
            let fields = old.map_or(vec![UNKNOWN_FIELD; 2], |k| k.fields);
            naive.insert(id, Known { accepted: None, address: Address { remote_id, match_value }, fields });
        }
    }
}

pub(super) fn row_set(step: &Step, previous: &BTreeMap<i64, TestRow>, random: &mut Random) -> BTreeMap<i64, TestRow> {
    let mut rows = BTreeMap::new();
    for id in 0..step.keys {
        if random.percent(step.absent) {
            continue;
        }
        let mut row = previous.get(&id).cloned().unwrap_or_else(|| TestRow::new(id, &format!("{id}@a"), 0));
        if random.percent(step.changed) {
            match random.below(4) {
                0 => row.note += 1,
                // Sometimes the address of a neighbour.
                1 => row.email = format!("{}@{}", id + random.below(2) as i64, random.below(3)),
                2 => row.n = REFUSED,
                _ => row.n = random.below(5) as i64,
            }
        }
        rows.insert(id, row);
    }
    rows
}

pub(super) fn random_fates(plan: &PlanReader, percent: u64, random: &mut Random) -> Fates {
    let mut fates = Fates::default();
    for op in ops(plan) {
        if random.percent(percent) {
            fates.fates.insert(op.number, if random.percent(50) { Settle::Kept } else { Settle::InDoubt });
        }
        if op.kind == OpKind::Add && random.percent(50) {
            fates.ids.insert(op.number, format!("id{}", random.next()));
        }
    }
    fates
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_row_sets_in_any_order_with_any_fates_give_what_the_naive_model_gives(
        steps in proptest::collection::vec(step(), 1..6),
        limits in limits(),
        // Nothing fits into memory, a little does, everything does.
        memory in prop_oneof![Just(0u64), Just(20_000), Just(64 << 20)],
    ) {
        let folder = folder();
        let state = folder.path().join("state");
        let mut store = Store::open_with(&state, state_key(), limits).expect("a store");
        let mapper = TestMapper::usual();
        let mut naive = Naive::new();
        let mut previous = BTreeMap::new();
        for (run, step) in steps.iter().enumerate() {
            let mut random = Random(step.seed);
            let rows = row_set(step, &previous, &mut random);
            let mut scan: Vec<TestRow> = rows.values().cloned().collect();
            step.order.apply(&mut scan, &mut random);

            let snapshot = store.snapshot().expect("a snapshot");
            let hasher = FieldHasher::new(snapshot.seed());
            let path = folder.path().join("plan");
            let summary = try_plan(&snapshot, &scan, PlanRequest { memory, ..request(&format!("run-{run}")) }, &mapper, &path).expect("a plan");
            let plan = PlanReader::open(&path, &state_key()).expect("the plan");
            plan.verify().expect("whole");
            prop_assert_eq!(kinds(&plan), expected(&naive, &scan, &mapper).into_iter().collect::<Vec<_>>());
            let counts = summary.counts;
            let classified = counts.unchanged + counts.added + counts.changed + counts.moved + counts.touched
                + counts.rejected;
            prop_assert_eq!((counts.rows, classified), (scan.len() as u64, scan.len() as u64));

            let fates = random_fates(&plan, step.unsettled, &mut random);
            let info = SettleInfo { run_id: format!("run-{run}"), log_digest: [0; 32], log_len: 0 };
            let settled = settle(&store, &plan, &fates, info.clone()).expect("settled");
            for op in ops(&plan) {
                apply(&mut naive, &op, &fates, &rows, &hasher);
            }
            let again = settle(&store, &plan, &fates, info).expect("settled already");
            prop_assert_eq!(again, Settled { bytes_written: 0, ..settled });

            // What is on disk, not what is in memory.
            store = Store::open_with(&state, state_key(), limits).expect("the store");
            store.verify().expect("whole");
            let snapshot = store.snapshot().expect("a snapshot");
            let expected: BTreeMap<i64, Stored> = naive
                .iter()
                .map(|(id, known)| {
                    let fingerprint = known.accepted.as_ref().map_or(IN_DOUBT, |row| row.fingerprint(snapshot.seed()));
                    (*id, Stored { fingerprint, address: known.address.clone(), fields: known.fields.clone() })
                })
                .collect();
            prop_assert_eq!(stored(&snapshot), expected);
            let in_doubt = naive.values().filter(|known| known.accepted.is_none()).count() as u64;
            let accepted = naive.len() as u64 - in_doubt;
            prop_assert_eq!((snapshot.accepted(), snapshot.in_doubt()), (accepted, in_doubt));
            prop_assert_eq!((settled.accepted, settled.in_doubt), (accepted, in_doubt));
            previous = rows;
        }
    }
}
