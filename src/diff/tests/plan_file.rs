//! The plan as a file: read from any place, and given up where the disk would fill.

use super::random::Random;
use super::*;
use crate::snapshot::FileError;

#[test]
fn a_plan_is_read_from_any_op_on() {
    let mut sync = Sync::new();
    sync.run(&rows(0..9000));
    // Several chunks: 4,500 changed, 4,500 removed, 4,500 new, in the order of the scan.
    let mut now: Vec<TestRow> = rows(0..9000).into_iter().step_by(2).collect();
    now.iter_mut().for_each(|row| row.n = 1);
    now.extend(rows(9000..13_500));
    let request = sync.next_request();
    let plan = sync.plan(&now, request);
    let all = ops(&plan);
    assert_eq!((all.len(), plan.len()), (13_500, 13_500));
    for first in (0..all.len()).step_by(613).chain([all.len() - 1, all.len(), all.len() + 9]) {
        let from: Vec<Op> = plan.ops_from(first as u64, None).map(|op| op.expect("an op")).collect();
        assert_eq!(from, all[first.min(all.len())..], "from {first}");
        let adds = plan.ops_from(first as u64, Some(&[OpKind::Add])).map(|op| op.expect("an op").number);
        let expected = all.iter().skip(first).filter(|op| op.kind == OpKind::Add).map(|op| op.number);
        assert!(adds.eq(expected), "added rows from {first}");
    }
}

#[test]
fn a_plan_that_would_fill_the_disk_is_given_up_and_nothing_of_it_stays() {
    let mut sync = Sync::new();
    sync.run(&rows(0..10));
    let before = sync.records();
    let mut random = Random(3);
    let text = |random: &mut Random| (0..200).map(|_| format!("{:016x}", random.next())).collect::<String>();
    let wide: Vec<TestRow> = (0..20_000).map(|id| TestRow::new(id, &text(&mut random), 0)).collect();
    let folder = folder();
    let stat = rustix::fs::statvfs(folder.path()).expect("the file system");
    let free = stat.f_bavail * stat.f_frsize;
    let snapshot = sync.store.snapshot().expect("a snapshot");
    for (min_free, begins) in [(u64::MAX, false), (free.saturating_sub(8 << 20), true)] {
        let request = PlanRequest { min_free, ..request("run-2") };
        let path = folder.path().join("plan");
        let refused = try_plan(&snapshot, &wide, request, &sync.mapper, &path).expect_err("64 MB of plan");
        assert!(matches!(refused, DiffError::Plan(FileError::NoSpace { .. })), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "it began: {begins}");
    }
    assert_eq!(sync.records(), before);
    // With room it is as it ever was.
    let request = sync.next_request();
    assert_eq!(sync.plan(&rows(0..20), request).summary().counts.added, 10);
}
