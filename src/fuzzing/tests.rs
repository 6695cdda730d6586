//! The fuzz targets on the stable compiler: every seed, and a thousand changes of each.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::*;
use crate::diff::tests::random::Random;
use crate::snapshot::StateKey;
use crate::snapshot::sealed::{SealedKind, SealedReader};

type Door = fn(&[u8]) -> bool;

const TARGETS: [(&str, Door); 11] = [
    ("copy", backhaul_connectors::fuzzing::copy),
    ("copy_value", backhaul_connectors::fuzzing::copy_value),
    ("log", log),
    ("log_entries", log_entries),
    ("manifest", manifest),
    ("order", order),
    ("plan_file", plan_file),
    ("plan_footer", plan_footer),
    ("plan_header", plan_header),
    ("plan_ops", plan_ops),
    ("segment", segment),
];
const CHANGES: u64 = 1000;
/// Seeds that do not decode, though nearly.
const NEARLY: &str = "nearly-";

fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().expect("a name"), entry.path())).collect();
    files.sort();
    files
}

/// A few bytes somewhere in `bytes`, perhaps none.
fn range(bytes: &[u8], random: &mut Random) -> Range<usize> {
    let start = below(bytes.len() + 1, random);
    start..start + below((bytes.len() - start).min(16) + 1, random)
}

fn below(bound: usize, random: &mut Random) -> usize {
    random.below(bound as u64) as usize
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = below(bytes.len(), random);
    match random.below(6) {
        _ if bytes.is_empty() => bytes.push(random.below(256) as u8),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5, random)],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(range(bytes, random))),
        4 => {
            let again = bytes[range(bytes, random)].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let new: Vec<u8> = (0..random.below(9)).map(|_| random.below(256) as u8).collect();
            bytes.splice(at..at, new);
        }
    }
}

#[test]
fn every_seed_and_a_thousand_changes_of_each_decode_to_what_they_encode_or_are_refused() {
    for (name, door) in TARGETS {
        let seeds = files(&folder("fuzz/seeds").join(name));
        let (mut decoded, mut refused) = (0, 0);
        for (seed, path) in &seeds {
            let whole = fs::read(path).expect("the seed");
            assert_eq!(door(&whole), !seed.starts_with(NEARLY), "{name}/{seed}");
            let mut random = Random(whole.len() as u64);
            for _ in 0..CHANGES {
                let mut changed = whole.clone();
                for _ in 0..=random.below(3) {
                    change(&mut changed, &mut random);
                }
                *if door(&changed) { &mut decoded } else { &mut refused } += 1;
            }
        }
        assert!(decoded > 0 && refused > 0, "{name}: {decoded} decoded, {refused} refused");
    }
}

#[test]
fn every_target_has_its_seeds_and_its_door() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let of = |below: &str| -> BTreeSet<String> {
        files(&folder(below)).into_iter().map(|(name, _)| name.trim_end_matches(".rs").to_owned()).collect()
    };
    assert_eq!((of("fuzz/fuzz_targets"), of("fuzz/seeds")), (names.clone(), names));
}

/// The plain chunks of a sealed golden file.
fn chunks(file: &Path, kind: SealedKind) -> Vec<Vec<u8>> {
    let key = StateKey::from_secret(&SecretString::from("07".repeat(32))).expect("a key");
    let reader = SealedReader::open(file, &key, kind).expect("the file");
    (0..reader.chunks()).map(|chunk| reader.chunk(chunk).expect("a chunk")).collect()
}

/// The payloads of a log's frames, found by their markers.
fn payloads(log: &[u8]) -> Vec<Vec<u8>> {
    const HEAD: usize = 25;
    let starts: Vec<usize> = (0..log.len()).filter(|at| log[*at..].starts_with(&[0xba, 0xc4, 0x4a, 0x01])).collect();
    let ends = starts.iter().skip(1).copied().chain([log.len()]);
    starts.iter().zip(ends).map(|(start, end)| log[start + HEAD..end].to_vec()).filter(|p| !p.is_empty()).collect()
}

#[test]
#[ignore = "writes the seeds of the fuzz targets anew, from the golden files"]
fn seeds_are_written() {
    let golden = folder("src/snapshot/golden");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let seeds = folder("fuzz/seeds").join(target);
        fs::create_dir_all(&seeds).expect("a folder");
        fs::write(seeds.join(name), bytes).expect("written");
    };
    let read = |path: &str| fs::read(golden.join(path)).expect("a golden file");
    let only = |below: &str, prefix: &str| {
        let mut found = files(&golden.join(below)).into_iter().filter(|(name, _)| name.starts_with(prefix));
        found.next().expect("a golden file").1
    };

    for (name, path) in [("by-hash", "v2/by_hash/MANIFEST"), ("moved", "v2/moved/MANIFEST"), ("v1", "v1/MANIFEST")] {
        let text = read(path);
        write("manifest", name, &text);
        write("manifest", &format!("{NEARLY}{name}"), &text[..text.len() - 9]);
    }
    for name in ["log", "log.open"] {
        write("log", name, &read(&format!("v2/run/{name}")));
    }
    write("log", &format!("{NEARLY}header"), &read("v2/run/log")[..20]);
    for (place, payload) in payloads(&read("v2/run/log")).iter().enumerate() {
        write("log_entries", &format!("frame-{place}"), payload);
    }
    write("log_entries", "intent", &[2, 3, 24, 2, 12, 1]);
    write("log_entries", "ticket", &[&[3, 7, 1, 40, 1, 2][..], b"{}", &[4, 7, 5, 6]].concat());

    for (name, path, kind) in [
        ("v1", "v1/second.plan", SealedKind::PlanV1),
        ("v2", "v2/run/plan", SealedKind::PlanV1),
        ("v3", "v3/plan", SealedKind::Plan),
    ] {
        write("plan_file", name, &read(path));
        let chunks = chunks(&golden.join(path), kind);
        let [header, ops @ .., footer] = chunks.as_slice() else { panic!("{} chunks", chunks.len()) };
        write("plan_header", name, header);
        let ops = ops.concat();
        write("plan_ops", name, &ops);
        write("plan_ops", &format!("{NEARLY}{name}"), &ops[..ops.len() - 1]);
        write("plan_footer", name, footer);
    }
    let fields: &[u8] = &[2];
    for (name, below, kind) in [("v1", "v1", SealedKind::SegmentV1), ("v2", "v2/by_hash", SealedKind::Segment)] {
        let chunk = &chunks(&only(below, "segment-"), kind)[0];
        write("segment", name, &[fields, chunk].concat());
        write("segment", &format!("{NEARLY}{name}"), &[fields, &chunk[..chunk.len() - 1]].concat());
    }
    for (place, chunk) in chunks(&golden.join("v2/run/plan.order"), SealedKind::Order).iter().enumerate().skip(1) {
        write("order", &format!("chunk-{place}"), chunk);
    }
}
