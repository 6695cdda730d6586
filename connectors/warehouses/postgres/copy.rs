//! Cuts a stream in COPY's binary format into tuples.
//!
//! The stream is read by its lengths. Where the messages of the protocol begin and end means nothing: the
//! header may be glued to the first tuple, a tuple may be spread over several messages.

use std::sync::Arc;

use backhaul_kit::Fault;

use super::decode::clear_oids;
use super::layout::Layout;
use super::types::Wire;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const HEADER: usize = 19;
/// The upper half of the flags is critical: a reader must stop at a bit that it does not know.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// A page is handed over when it has so many rows …
const PAGE_ROWS: usize = 4096;
/// … or so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Whole tuples: field count, then length and bytes of each field; the object ids inside of arrays are zeroed, so
/// that equal rows have equal bytes.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    /// The tuples, one after the other.
    pub(super) data: Vec<u8>,
    /// Where each of them ends in `data`.
    pub(super) ends: Vec<usize>,
}

impl Tuples {
    /// One tuple after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.data.get(start..*end).unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Tuples,
    Trailer,
}

/// Collects bytes until they are whole tuples.
#[derive(Debug)]
pub(super) struct CopyReader {
    layout: Arc<Layout>,
    state: State,
    buffer: Vec<u8>,
    ends: Vec<usize>,
    rows: u64,
}

enum Found {
    Tuple(usize),
    Trailer,
    Incomplete,
}

impl CopyReader {
    /// A reader of tuples with these fields.
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        Self { layout, state: State::Header, buffer: Vec::new(), ends: Vec::new(), rows: 0 }
    }

    /// Adds what the server sent.
    ///
    /// # Errors
    /// Bytes that are not COPY's binary format with the expected number of fields.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.state == State::Trailer {
            return Err(malformed("bytes after the end of the data"));
        }
        self.buffer.extend_from_slice(bytes);
        if self.state == State::Header && !self.take_header()? {
            return Ok(());
        }
        let mut at = self.ends.last().copied().unwrap_or(0);
        loop {
            match self.next_tuple(at)? {
                Found::Tuple(end) => {
                    self.ends.push(end);
                    self.rows += 1;
                    at = end;
                }
                Found::Incomplete => return Ok(()),
                Found::Trailer if at + 2 == self.buffer.len() => {
                    self.buffer.truncate(at);
                    self.state = State::Trailer;
                    return Ok(());
                }
                Found::Trailer => return Err(malformed("bytes after the end of the data")),
            }
        }
    }

    /// Whether there is enough for a page.
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= PAGE_ROWS || self.ends.last().is_some_and(|end| *end >= PAGE_BYTES)
    }

    /// Takes the whole tuples that have come so far.
    pub(super) fn take(&mut self) -> Option<Tuples> {
        let end = *self.ends.last()?;
        let mut rest = Vec::with_capacity(end.min(PAGE_BYTES) + self.buffer.len() - end);
        rest.extend_from_slice(&self.buffer[end..]);
        let mut data = std::mem::replace(&mut self.buffer, rest);
        data.truncate(end);
        let ends = Vec::with_capacity(self.ends.len());
        Some(Tuples { data, ends: std::mem::replace(&mut self.ends, ends) })
    }

    /// How many tuples there were, once the stream has ended.
    ///
    /// # Errors
    /// `Transient` where the stream ended before its trailer.
    pub(super) fn finish(&self) -> Result<u64, Fault> {
        match self.state {
            State::Trailer => Ok(self.rows),
            State::Header | State::Tuples => {
                Err(Fault::transient(format!("the data ended before its end mark, after {} rows", self.rows)))
            }
        }
    }

    /// Reads the header off the buffer, once it is whole.
    fn take_header(&mut self) -> Result<bool, Fault> {
        let Some(flags) = be_u32(&self.buffer, 11) else { return Ok(false) };
        if !self.buffer.starts_with(SIGNATURE) {
            return Err(malformed("not the signature of COPY's binary format"));
        }
        if flags & CRITICAL_FLAGS != 0 {
            return Err(malformed("a critical flag that is not known here"));
        }
        let Some(extension) = be_u32(&self.buffer, 15) else { return Ok(false) };
        let extension = usize::try_from(extension).map_err(|_| malformed("a header without end"))?;
        if self.buffer.len() - HEADER < extension {
            return Ok(false);
        }
        self.buffer.drain(..HEADER + extension);
        self.state = State::Tuples;
        Ok(true)
    }

    /// What begins at `start`.
    fn next_tuple(&mut self, start: usize) -> Result<Found, Fault> {
        let buffer = self.buffer.as_mut_slice();
        let Some(count) = buffer.get(start..start + 2) else { return Ok(Found::Incomplete) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count == -1 {
            return Ok(Found::Trailer);
        }
        if usize::try_from(count) != Ok(self.layout.fields.len()) {
            return Err(malformed("a row with another number of columns"));
        }
        let mut at = start + 2;
        for field in &self.layout.fields {
            let Some(len) = be_u32(buffer, at) else { return Ok(Found::Incomplete) };
            at += 4;
            // -1 is NULL; other negative lengths do not exist.
            let len = match len.cast_signed() {
                -1 => continue,
                len => usize::try_from(len).map_err(|_| malformed("a negative length"))?,
            };
            if let Wire::Array(element) = &field.wire {
                let Some(array) = buffer.get_mut(at..at + len) else { return Ok(Found::Incomplete) };
                clear_oids(element, array).ok_or_else(|| field.malformed())?;
            }
            at += len;
        }
        Ok(if at <= buffer.len() { Found::Tuple(at) } else { Found::Incomplete })
    }
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let head = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([head[0], head[1], head[2], head[3]]))
}

fn malformed(what: &str) -> Fault {
    Fault::transient(format!("the server's data could not be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::layout::Field;
    use super::*;
    use proptest::prelude::*;

    fn reader_of(wires: Vec<Wire>) -> CopyReader {
        let field = |wire| Field { name: "x".into(), native: "x".into(), wire };
        let fields = wires.into_iter().map(field).collect();
        CopyReader::new(Arc::new(Layout::new(fields, Vec::new(), 0).expect("a layout")))
    }

    fn reader(columns: usize) -> CopyReader {
        reader_of(vec![Wire::Text; columns])
    }

    fn stream(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[0; 8]);
        for row in rows {
            out.extend_from_slice(&i16::try_from(row.len()).expect("few").to_be_bytes());
            for field in row {
                match field {
                    None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(bytes) => {
                        out.extend_from_slice(&i32::try_from(bytes.len()).expect("short").to_be_bytes());
                        out.extend_from_slice(bytes);
                    }
                }
            }
        }
        out.extend_from_slice(&(-1i16).to_be_bytes());
        out
    }

    #[test]
    fn no_rows_are_a_complete_scan() {
        let mut reader = reader(3);
        reader.push(&stream(&[])).expect("readable");
        assert!(reader.take().is_none());
        assert_eq!(reader.finish().expect("complete"), 0);
    }

    #[test]
    fn a_stream_without_its_trailer_is_not_complete() {
        let whole = stream(&[vec![Some(b"a".to_vec())], vec![None]]);
        for cut in 0..whole.len() {
            let mut reader = reader(1);
            reader.push(&whole[..cut]).expect("readable so far");
            assert!(reader.finish().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn bytes_after_the_trailer_are_refused() {
        let whole = stream(&[]);
        let mut apart = reader(1);
        apart.push(&whole).expect("readable");
        assert!(apart.push(b"x").is_err());
        assert!(reader(1).push(&[whole.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn another_number_of_columns_is_refused() {
        assert!(reader(2).push(&stream(&[vec![None]])).is_err());
        assert!(reader(1).push(b"not a header at all").is_err());
        let mut flagged = stream(&[]);
        flagged[12] = 1;
        assert!(reader(1).push(&flagged).is_err());
    }

    #[test]
    fn equal_arrays_have_equal_bytes_wherever_the_stream_is_cut() {
        // One dimension of one element, without NULLs: rank, flag, element type, length, lower bound, the element.
        let array = |oid: i32| {
            let words = [1, 0, oid, 1, 1, 4, 7];
            words.iter().flat_map(|word: &i32| word.to_be_bytes()).collect::<Vec<u8>>()
        };
        let row = |oid| vec![Some(b"a".to_vec()), Some(array(oid)), None];
        let whole = stream(&[row(23), row(4711)]);
        for cut in 0..whole.len() {
            let mut reader = reader_of(vec![Wire::Text, Wire::Array(Box::new(Wire::Int4)), Wire::Text]);
            reader.push(&whole[..cut]).expect("readable");
            reader.push(&whole[cut..]).expect("readable");
            let Tuples { data, ends } = reader.take().expect("tuples");
            assert_eq!(data[..ends[0]], data[ends[0]..], "cut at {cut}");
            assert_eq!(data, stream(&[row(0), row(0)])[HEADER..whole.len() - 2]);
        }
        let mut reader = reader_of(vec![Wire::Array(Box::new(Wire::Int4))]);
        assert!(reader.push(&stream(&[vec![Some(b"short".to_vec())]])).is_err());
    }

    #[test]
    fn pages_are_bounded() {
        let rows = vec![vec![Some(vec![7u8; 3])]; PAGE_ROWS + 10];
        let mut reader = reader(1);
        let mut pages = Vec::new();
        for chunk in stream(&rows).chunks(100) {
            reader.push(chunk).expect("readable");
            if reader.is_full() {
                pages.extend(reader.take().map(|t| t.ends.len()));
            }
        }
        pages.extend(reader.take().map(|t| t.ends.len()));
        assert!(pages.len() == 2 && pages[0] < PAGE_ROWS + 10, "{pages:?}");
        assert_eq!(reader.finish().expect("complete"), (PAGE_ROWS + 10) as u64);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_tuples_are_the_same(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 2..=2), 0..20),
            cuts in prop::collection::vec(1usize..40, 1..40),
            takes in any::<u64>(),
        ) {
            let whole = stream(&rows);
            let mut reader = reader(2);
            let (mut at, mut i, mut got) = (0, 0, Vec::new());
            let mut collect = |tuples: Option<Tuples>| {
                if let Some(tuples) = tuples {
                    let mut start = 0;
                    for end in &tuples.ends {
                        got.push(tuples.data[start..*end].to_vec());
                        start = *end;
                    }
                    assert_eq!(start, tuples.data.len());
                }
            };
            while at < whole.len() {
                let end = (at + cuts[i % cuts.len()]).min(whole.len());
                reader.push(&whole[at..end]).expect("readable");
                if takes >> (i % 64) & 1 == 1 {
                    collect(reader.take());
                }
                at = end;
                i += 1;
            }
            collect(reader.take());
            prop_assert_eq!(reader.finish().expect("complete"), rows.len() as u64);
            let expected: Vec<u8> = got.concat();
            prop_assert_eq!(&whole[HEADER..whole.len() - 2], expected.as_slice());
            prop_assert_eq!(got.len(), rows.len());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, with_header: bool) {
            let mut reader = reader(2);
            if with_header {
                reader.push(&stream(&[])[..HEADER]).expect("a header");
            }
            let _ = reader.push(&bytes);
            let _ = reader.take();
        }
    }
}
