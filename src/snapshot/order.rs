//! The order file beside a plan: where the rows of the scan stood, for a base that is to be written in their
//! order. It is a hint: without it a base keeps its old order.
//!
//! A sealed file. The first chunk names the snapshot; every other is a tag byte and runs of rows, each three
//! numbers: the first record (or the number of the first `Add` of a new key), the place of its row in the
//! scan, and how many follow one another in both.

use std::path::{Path, PathBuf};

use backhaul_kit::value::{put_varint, take_varint};

use super::error::FileError;
use super::file::FreeSpace;
use super::file::NewFile;
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};
use super::sort::{Sorted, Sorter};

const CHUNK_BYTES: usize = 64 << 10;
const SUFFIX: &str = ".order";
const RECORDS: u8 = 1;
const ADDS: u8 = 2;

/// Where the order file of the plan at `plan` stands.
pub(crate) fn path_of(plan: &Path) -> PathBuf {
    let mut name = plan.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Rows that follow one another in both orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    first: u64,
    arrival: u64,
    count: u64,
}

impl Run {
    /// Adds the next row, if it goes on where the run ends.
    fn extend(&mut self, number: u64, arrival: u64) -> bool {
        let goes_on = self.first + self.count == number && self.arrival + self.count == arrival;
        self.count += u64::from(goes_on);
        goes_on
    }

    fn encode(self, out: &mut Vec<u8>) {
        put_varint(self.first, out);
        put_varint(self.arrival, out);
        put_varint(self.count, out);
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        let run = Self { first: take_varint(input)?, arrival: take_varint(input)?, count: take_varint(input)? };
        let ends = run.count > 0 && run.first.max(run.arrival).checked_add(run.count).is_some();
        ends.then_some(run)
    }

    /// The place of the row of `number`, if the run has it.
    fn place(self, number: u64) -> Option<u64> {
        let at = number.checked_sub(self.first)?;
        (at < self.count).then(|| self.arrival + at)
    }
}

/// Notes where rows stand.
pub(crate) struct OrderWriter {
    file: SealedWriter,
    records: Series,
    adds: Series,
}

struct Series {
    run: Run,
    /// Starts with the tag.
    chunk: Vec<u8>,
}

impl OrderWriter {
    /// Starts the order file of the plan at `plan`, made from the snapshot `base_id`.
    pub(crate) fn create(plan: &Path, space: FreeSpace, key: &StateKey, base_id: &str) -> Result<Self, FileError> {
        let mut file = SealedWriter::new(NewFile::create(&path_of(plan), space)?, key, SealedKind::Order)?;
        file.chunk(base_id.as_bytes())?;
        let series = |tag| Series { run: Run::default(), chunk: vec![tag] };
        Ok(Self { file, records: series(RECORDS), adds: series(ADDS) })
    }

    /// The row at `arrival` is that of the record `ordinal`.
    pub(crate) fn record(&mut self, ordinal: u64, arrival: u64) -> Result<(), FileError> {
        self.records.note(ordinal, arrival, &mut self.file)
    }

    /// The row at `arrival` is new, and op number `op` adds it. Ops come in ascending order.
    pub(crate) fn add(&mut self, op: u64, arrival: u64) -> Result<(), FileError> {
        self.adds.note(op, arrival, &mut self.file)
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<(), FileError> {
        self.records.end(&mut self.file)?;
        self.adds.end(&mut self.file)?;
        self.file.finish().map(|_| ())
    }
}

impl Series {
    #[inline]
    fn note(&mut self, number: u64, arrival: u64, file: &mut SealedWriter) -> Result<(), FileError> {
        if self.run.extend(number, arrival) {
            return Ok(());
        }
        self.end_run();
        self.run = Run { first: number, arrival, count: 1 };
        if self.chunk.len() >= CHUNK_BYTES { self.end_chunk(file) } else { Ok(()) }
    }

    fn end_run(&mut self) {
        if self.run.count > 0 {
            self.run.encode(&mut self.chunk);
        }
    }

    fn end_chunk(&mut self, file: &mut SealedWriter) -> Result<(), FileError> {
        file.chunk(&self.chunk)?;
        self.chunk.truncate(1);
        Ok(())
    }

    fn end(&mut self, file: &mut SealedWriter) -> Result<(), FileError> {
        self.end_run();
        self.end_chunk(file)
    }
}

/// Reads all of the order file of the plan at `plan`.
pub(crate) fn verify(plan: &Path, key: &StateKey) -> Result<(), FileError> {
    let file = SealedReader::open(&path_of(plan), key, SealedKind::Order)?;
    file.chunk(0)?;
    (1..file.chunks()).try_for_each(|chunk| read_chunk(&file, chunk).map(|_| ()))
}

/// The order of a scan, asked in ascending order of ordinals and of ops.
pub(super) struct ScanOrder {
    records: Sorted,
    run: Run,
    adds: Adds,
    bytes: Vec<u8>,
}

/// The runs of new keys, in the order of the plan.
struct Adds {
    file: SealedReader,
    next_chunk: usize,
    /// What was read and not yet taken, last first.
    runs: Vec<Run>,
}

impl ScanOrder {
    /// Reads the order file of the plan at `plan`; `sorter` is empty.
    pub(super) fn open(plan: &Path, key: &StateKey, base_id: &str, mut sorter: Sorter<'_>) -> Result<Self, FileError> {
        let path = path_of(plan);
        let file = SealedReader::open(&path, key, SealedKind::Order)?;
        if file.chunk(0)? != base_id.as_bytes() {
            return Err(FileError::damaged(&path, "it belongs to another state of the snapshot"));
        }
        for chunk in 1..file.chunks() {
            let (tag, runs) = read_chunk(&file, chunk)?;
            for run in runs.iter().filter(|_| tag == RECORDS) {
                sorter.push(run.first, |out| run.encode(out))?;
            }
        }
        let adds = Adds { file, next_chunk: 1, runs: Vec::new() };
        Ok(Self { records: sorter.into_sorted()?, run: Run::default(), adds, bytes: Vec::new() })
    }

    /// The place of the record's row; `None` where it has none.
    pub(super) fn of_record(&mut self, ordinal: u64) -> Result<Option<u64>, FileError> {
        while self.run.place(ordinal).is_none() && self.records.peek().is_some_and(|first| first <= ordinal) {
            self.records.next(&mut self.bytes)?;
            let run = Run::decode(&mut self.bytes.as_slice());
            self.run = run.ok_or_else(|| FileError::damaged(self.adds.file.path(), "a run cannot be read"))?;
        }
        Ok(self.run.place(ordinal))
    }

    /// The place of the row that op number `op` adds.
    pub(super) fn of_add(&mut self, op: u64) -> Result<Option<u64>, FileError> {
        let adds = &mut self.adds;
        loop {
            match adds.runs.last() {
                Some(run) if run.first + run.count <= op => drop(adds.runs.pop()),
                Some(run) => return Ok(run.place(op)),
                None if adds.next_chunk < adds.file.chunks() => {
                    let (tag, runs) = read_chunk(&adds.file, adds.next_chunk)?;
                    adds.next_chunk += 1;
                    if tag == ADDS {
                        adds.runs = runs.into_iter().rev().collect();
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

fn read_chunk(file: &SealedReader, chunk: usize) -> Result<(u8, Vec<Run>), FileError> {
    decode_chunk(&file.chunk(chunk)?)
        .ok_or_else(|| FileError::damaged(file.path(), format!("chunk {chunk} cannot be read")))
}

/// The tag and the runs of a chunk.
pub(super) fn decode_chunk(plain: &[u8]) -> Option<(u8, Vec<Run>)> {
    let (&tag, mut rest) = plain.split_first()?;
    let mut runs = Vec::new();
    while !rest.is_empty() {
        runs.push(Run::decode(&mut rest)?);
    }
    matches!(tag, RECORDS | ADDS).then_some((tag, runs))
}

/// The bytes of a chunk of these runs.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn encode_chunk(tag: u8, runs: &[Run]) -> Vec<u8> {
    let mut out = vec![tag];
    runs.iter().for_each(|run| run.encode(&mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_noted_row_is_found_again_in_the_order_of_records_and_of_ops() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plan, key) = (folder.path().join("plan"), StateKey::random().expect("a key"));
        // Backwards in groups of ten; every seventh record has no row.
        let rows: Vec<u64> = (0..20_000u64).rev().map(|n| n / 10 * 10 + 9 - n % 10).filter(|n| n % 7 != 0).collect();
        let mut order = OrderWriter::create(&plan, FreeSpace::ANY, &key, "base").expect("started");
        for (arrival, ordinal) in (0..).zip(&rows) {
            order.record(*ordinal, arrival).expect("noted");
            if ordinal % 3 == 0 {
                order.add(arrival * 2, arrival + 1_000_000).expect("noted");
            }
        }
        order.finish().expect("finished");

        let sorter = || Sorter::new(folder.path().to_owned(), &key, 5000);
        assert!(ScanOrder::open(&plan, &key, "another", sorter()).is_err());
        let mut order = ScanOrder::open(&plan, &key, "base", sorter()).expect("opened");
        let places: std::collections::HashMap<u64, u64> = rows.iter().copied().zip(0..).collect();
        for ordinal in 0..20_010 {
            assert_eq!(order.of_record(ordinal).expect("read"), places.get(&ordinal).copied(), "record {ordinal}");
        }
        for op in 0..2 * rows.len() as u64 + 5 {
            let arrival = op / 2;
            let noted = op % 2 == 0 && rows.get(arrival as usize).is_some_and(|ordinal| ordinal % 3 == 0);
            assert_eq!(order.of_add(op).expect("read"), noted.then_some(arrival + 1_000_000), "op {op}");
        }
    }
}
