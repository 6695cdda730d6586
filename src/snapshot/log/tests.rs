use std::path::{Path, PathBuf};

use super::frame::VERSION;
use super::*;

const RUN: &str = "01J9-run";

fn ack(op: u64, fate: Fate, remote_id: Option<&str>) -> Entry {
    Entry::Ack { op, fate, remote_id: remote_id.map(Into::into) }
}

/// Frames of entries, one sync each.
fn story() -> Vec<Vec<Entry>> {
    vec![
        vec![Entry::Dispatched { first: 0, last: 9 }],
        vec![ack(0, Fate::Accepted, Some("51")), ack(1, Fate::Rejected, None), ack(2, Fate::Deferred, None)],
        vec![Entry::Intent { ops: vec![12, 13, 20] }, ack(3, Fate::Unknown, None), ack(12, Fate::Accepted, None)],
        vec![Entry::Ticket { id: 7, ops: vec![20], body: r#"{"kind":"job"}"#.into() }],
        vec![ack(20, Fate::Accepted, Some("é9")), Entry::Closed { id: 7 }],
    ]
}

struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn write(frames: &[Vec<Entry>], seal: bool) -> (Log, Option<Sealed>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.log");
    let mut writer = LogWriter::create(&path, RUN).expect("a new log");
    for frame in frames {
        for entry in frame {
            writer.push(entry).expect("pushed");
        }
        writer.sync().expect("synced");
    }
    let sealed = seal.then(|| writer.seal().expect("sealed"));
    (Log { _folder: folder, path }, sealed)
}

/// The ids of ops 0 to 99.
fn ids(path: &Path, replay: &Replay) -> Vec<Option<String>> {
    let mut ids = RemoteIds::open(path, RUN, replay).expect("the log");
    (0..100).map(|op| ids.get(op).expect("read").map(str::to_owned)).collect()
}

#[test]
fn a_log_says_what_was_written_into_it() {
    let (log, sealed) = write(&story(), true);
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    assert_eq!(replay.sealed(), sealed);
    assert_eq!(replay.len(), std::fs::metadata(&log.path).expect("the file").len());
    assert_eq!(replay.fate(0), Some(Fate::Accepted));
    let named = ids(&log.path, &replay).into_iter().enumerate().filter_map(|(op, id)| Some((op, id?)));
    assert_eq!(named.collect::<Vec<_>>(), [(0, "51".to_owned()), (20, "é9".to_owned())]);
    let standing: Vec<Standing> = [0, 1, 2, 3, 4, 11, 12, 13, 20].map(|op| replay.standing(op)).into();
    use Standing::{Accepted, InDoubt, Kept};
    assert_eq!(standing, [Accepted, Kept, Kept, InDoubt, InDoubt, Kept, Accepted, InDoubt, Accepted]);
    assert!(replay.dispatched(13) && !replay.dispatched(14));
    // Of 0 to 9 three were refused or put off, or have none of these; 13 has an intent alone.
    assert_eq!(replay.told(), (3, 8));
    assert_eq!(replay.open_tickets().count(), 0);
}

#[test]
fn an_open_ticket_keeps_its_ops_in_doubt_even_when_the_run_was_drained() {
    let ticket = Entry::Ticket { id: 1, ops: vec![4, 5], body: "{}".into() };
    let frames = vec![vec![Entry::Dispatched { first: 0, last: 9 }, ticket, Entry::Drained]];
    let (log, _) = write(&frames, true);
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    assert_eq!(replay.open_tickets().map(|t| t.id).collect::<Vec<_>>(), [1]);
    assert_eq!(
        [3, 4, 5, 6].map(|op| replay.standing(op)),
        [Standing::Kept, Standing::InDoubt, Standing::InDoubt, Standing::Kept]
    );
}

#[test]
fn a_committed_session_accepts_what_was_dispatched_and_has_no_verdict() {
    let frames = vec![vec![
        Entry::Dispatched { first: 0, last: 4 },
        ack(2, Fate::Rejected, None),
        Entry::Committed,
        Entry::Dispatched { first: 10, last: 11 },
    ]];
    let (log, _) = write(&frames, false);
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    assert!(replay.committed());
    assert_eq!([1, 2, 10].map(|op| replay.standing(op)), [Standing::Accepted, Standing::Kept, Standing::InDoubt]);
}

#[test]
fn the_bytes_on_disk_stay_as_they_are() {
    let (log, sealed) = write(&story(), true);
    let bytes = std::fs::read(&log.path).expect("the file");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let lines: Vec<&str> = hex.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).expect("hex")).collect();
    assert_eq!(VERSION, 1, "a new version needs a new golden text beside the old one");
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(sealed.map(|s| s.len), Some(bytes.len() as u64));
}

/// Every verdict that a replay gives must be the one of the whole log, or doubt, or "not sent" where the
/// whole log's mark itself was lost.
fn tells_no_lie(path: &Path, part: &Replay, whole: &Replay, whole_ids: &[Option<String>]) {
    let part_ids = ids(path, part);
    for op in 0..24 {
        if let Some(fate) = part.fate(op) {
            assert_eq!(Some(fate), whole.fate(op), "op {op}");
            assert_eq!(part_ids[op as usize], whole_ids[op as usize], "op {op}");
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_loses_its_tail_and_nothing_else() {
    for seal in [false, true] {
        let (log, _) = write(&story(), seal);
        let whole = Replay::read(&log.path, RUN).expect("a sound log");
        let whole_ids = ids(&log.path, &whole);
        let bytes = std::fs::read(&log.path).expect("the file");
        let mut frames_seen = 0;
        for cut in 0..bytes.len() {
            std::fs::write(&log.path, &bytes[..cut]).expect("cut");
            match Replay::read(&log.path, RUN) {
                Err(LogError::Corrupt { offset: 0 }) => assert!(cut < frame::header_len(RUN), "cut at {cut}"),
                Err(e) => panic!("cut at {cut}: {e}"),
                Ok(part) => {
                    assert_eq!(part.sealed(), None, "cut at {cut}");
                    assert_eq!(part.len() + part.lost_tail(), cut as u64);
                    assert!(part.frames() >= frames_seen);
                    frames_seen = part.frames();
                    tells_no_lie(&log.path, &part, &whole, &whole_ids);
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_found_or_costs_only_the_tail() {
    let (log, sealed) = write(&story(), true);
    let whole = Replay::read(&log.path, RUN).expect("a sound log");
    let whole_ids = ids(&log.path, &whole);
    let bytes = std::fs::read(&log.path).expect("the file");
    let last_frame = bytes.len() - frame::HEAD;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&log.path, &damaged).expect("written");
        match Replay::read(&log.path, RUN) {
            Err(LogError::Corrupt { .. }) => {}
            Err(e) => panic!("bit {bit}: {e}"),
            Ok(part) => {
                assert!(bit / 8 >= last_frame, "bit {bit} went unseen");
                assert_ne!(part.sealed(), sealed);
                assert_eq!(part.sealed(), None);
                tells_no_lie(&log.path, &part, &whole, &whole_ids);
            }
        }
    }
}

#[test]
fn bytes_behind_a_seal_are_corruption() {
    let (log, sealed) = write(&story(), true);
    let mut bytes = std::fs::read(&log.path).expect("the file");
    bytes.push(0);
    std::fs::write(&log.path, &bytes).expect("written");
    let error = Replay::read(&log.path, RUN).expect_err("one byte too many");
    assert!(matches!(error, LogError::Corrupt { offset } if Some(offset) == sealed.map(|s| s.len)));
}

#[test]
fn a_resumed_log_drops_its_torn_tail_and_goes_on() {
    let (log, _) = write(&story(), false);
    let bytes = std::fs::read(&log.path).expect("the file");
    std::fs::write(&log.path, &bytes[..bytes.len() - 3]).expect("torn");
    let torn = Replay::read(&log.path, RUN).expect("a torn tail is accepted");
    assert!(torn.lost_tail() > 0);
    assert_eq!(torn.fate(20), None, "the last frame is gone");
    let mut writer = LogWriter::resume(&log.path, RUN, &torn).expect("resumed");
    writer.push(&ack(20, Fate::Accepted, Some("77"))).expect("pushed");
    let sealed = writer.seal().expect("sealed");
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    assert_eq!(replay.sealed(), Some(sealed));
    assert_eq!(ids(&log.path, &replay)[20].as_deref(), Some("77"));
    assert_eq!(replay.digest(), sealed.digest);
    assert!(LogWriter::resume(&log.path, RUN, &replay).is_err(), "a sealed log is closed for ever");
}

#[test]
fn a_process_that_was_replaced_does_not_reach_the_log_that_goes_on() {
    let (log, _) = write(&[], false);
    let mut stale = LogWriter::resume(&log.path, RUN, &Replay::read(&log.path, RUN).expect("a log")).expect("open");
    stale.push(&Entry::Dispatched { first: 0, last: 9 }).expect("pushed");
    stale.sync().expect("synced");

    let mut writer = LogWriter::resume(&log.path, RUN, &Replay::read(&log.path, RUN).expect("a log")).expect("open");
    stale.push(&ack(0, Fate::Rejected, None)).expect("pushed");
    stale.seal().expect("sealed");
    writer.push(&ack(0, Fate::Accepted, None)).expect("pushed");
    let sealed = writer.seal().expect("sealed");
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    assert_eq!((replay.sealed(), replay.fate(0)), (Some(sealed), Some(Fate::Accepted)));
    assert!(replay.dispatched(9));
}

#[test]
fn a_log_of_another_run_or_a_newer_format_is_refused() {
    let (log, _) = write(&story(), true);
    for other in ["x", "a-run-with-a-much-longer-id"] {
        assert!(matches!(Replay::read(&log.path, other), Err(LogError::OtherRun)));
    }
    let mut bytes = std::fs::read(&log.path).expect("the file");
    bytes[8] = 2;
    let end = frame::header_len(RUN) - 8;
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..end]);
    bytes[end..end + 8].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&log.path, &bytes).expect("written");
    assert!(matches!(Replay::read(&log.path, RUN), Err(LogError::Version(2))));
}

#[test]
fn a_million_ops_with_ids_take_less_than_a_megabyte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.log");
    let mut writer = LogWriter::create(&path, RUN).expect("a new log");
    let id = |op: u64| format!("{:012}", op * 7);
    let (mut late, ops) = (Vec::new(), 1_000_000u64);
    for op in 0..ops {
        // One in a thousand gets its answer much later.
        if op % 1000 == 5 {
            late.push(op);
        } else {
            writer.push(&ack(op, Fate::Accepted, Some(&id(op)))).expect("pushed");
        }
        if late.len() == 100 {
            for op in late.drain(..) {
                writer.push(&ack(op, Fate::Accepted, Some(&id(op)))).expect("pushed");
            }
            writer.sync().expect("synced");
        }
    }
    writer.seal().expect("sealed");
    let replay = Replay::read(&path, RUN).expect("a sound log");
    assert!(replay.footprint() <= 1_000_000, "{} bytes", replay.footprint());
    assert_eq!(replay.first_open(), ops);
    let mut ids = RemoteIds::open(&path, RUN, &replay).expect("the log");
    for op in 0..ops {
        assert_eq!(ids.get(op).expect("read"), Some(id(op).as_str()));
    }
    assert_eq!(ids.get(ops).expect("read"), None);
}

#[test]
fn an_id_is_not_read_from_a_log_that_was_damaged_meanwhile() {
    let (log, _) = write(&story(), true);
    let replay = Replay::read(&log.path, RUN).expect("a sound log");
    let mut bytes = std::fs::read(&log.path).expect("the file");
    let place = bytes.windows(2).position(|two| two == b"51").expect("the id");
    bytes[place] = b'6';
    std::fs::write(&log.path, &bytes).expect("damaged");
    let mut ids = RemoteIds::open(&log.path, RUN, &replay).expect("the log");
    assert!(matches!(ids.get(0), Err(LogError::Corrupt { .. })));
}

#[test]
fn neighbours_that_share_their_verdict_are_written_one_by_one() {
    let one_by_one: Vec<Entry> = (7..10).map(|op| ack(op, Fate::Accepted, None)).collect();
    let together = vec![Entry::Acks { first: 7, last: 9, fate: Fate::Accepted }];
    let [one_by_one, together] =
        [one_by_one, together].map(|entries| std::fs::read(&write(&[entries], true).0.path).expect("the file"));
    assert_eq!(together, one_by_one);
}
