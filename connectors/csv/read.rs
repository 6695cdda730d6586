//! CSV, strictly by RFC 4180: what a lenient reader would guess at, as a quote that is still open at the end, is how a
//! file that was cut looks.

use std::io::{self, BufRead};

/// The longest row that is taken, in bytes.
pub(crate) const MAX_ROW: usize = 16 << 20;

/// Why the bytes are not CSV.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file ends in the middle of a row.
    #[error("the last line is not ended")]
    NotEnded,
    /// The file ends inside of quotes.
    #[error("a quote is still open at the end of the file")]
    OpenQuote,
    /// `ab"c` or `"ab"c`.
    #[error("a quote stands inside of a value: quotes stand around a value, and twice inside of it")]
    StrayQuote,
    /// A carriage return that no line feed follows.
    #[error("a carriage return stands outside of quotes")]
    StrayReturn,
    /// Longer than [`MAX_ROW`].
    #[error("a row is longer than 16 MiB")]
    TooLong,
}

/// The fields of a row.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    /// Where each ends, and whether it stood in quotes.
    ends: Vec<(usize, bool)>,
}

impl Fields {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field; `None` is NULL: nothing at all, not even quotes.
    pub(crate) fn get(&self, at: usize) -> Option<&[u8]> {
        let (end, quoted) = *self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        self.bytes.get(start..end).filter(|bytes| quoted || !bytes.is_empty())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn end(&mut self, quoted: bool) {
        self.ends.push((self.bytes.len(), quoted));
    }
}

/// Where in a row the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of the row.
    Row,
    /// Before the first byte of another field.
    Field,
    Plain,
    Quoted,
    /// After a quote inside of quotes: the end of the field, or half of a doubled one.
    Quote,
    /// After the carriage return that should end the row.
    Return,
}

/// Reads rows one after the other.
pub(crate) struct CsvReader<R> {
    input: R,
    /// Lines that were begun, those inside of quotes included.
    line: u64,
}

impl<R: BufRead> CsvReader<R> {
    /// A reader of this input; a byte order mark at its start is passed over.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(crate) fn new(mut input: R) -> Result<Self, CsvError> {
        if input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        Ok(Self { input, line: 0 })
    }

    /// The line that the last row, or the error, is on, from 1. Files are searched by it; answers are not.
    #[cfg(any(test, feature = "files"))]
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next row; `false` at the end of the file.
    ///
    /// # Errors
    /// The bytes are not CSV, or are cut.
    pub(crate) fn read(&mut self, fields: &mut Fields) -> Result<bool, CsvError> {
        fields.clear();
        let mut state = State::Row;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return match state {
                    State::Row => Ok(false),
                    State::Quoted => Err(CsvError::OpenQuote),
                    State::Field | State::Plain | State::Quote | State::Return => Err(CsvError::NotEnded),
                };
            }
            if state == State::Row {
                self.line += 1;
            }
            let mut rest = buffer;
            let mut ended = false;
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                state = match (state, byte) {
                    (State::Row | State::Field, b'"') => State::Quoted,
                    (State::Quoted, b'"') => State::Quote,
                    (State::Quoted, _) => {
                        self.line += u64::from(byte == b'\n');
                        fields.bytes.push(byte);
                        State::Quoted
                    }
                    (State::Quote, b'"') => {
                        fields.bytes.push(b'"');
                        State::Quoted
                    }
                    (State::Return, b'\n') => {
                        ended = true;
                        break;
                    }
                    (State::Return, _) => return Err(CsvError::StrayReturn),
                    (_, b',') => {
                        fields.end(state == State::Quote);
                        State::Field
                    }
                    (_, b'\r' | b'\n') => {
                        fields.end(state == State::Quote);
                        if byte == b'\n' {
                            ended = true;
                            break;
                        }
                        State::Return
                    }
                    (State::Quote, _) | (State::Plain, b'"') => return Err(CsvError::StrayQuote),
                    (State::Row | State::Field | State::Plain, _) => {
                        // Most bytes are here: take all up to the next that means something.
                        let plain = after.iter().position(|b| matches!(b, b',' | b'"' | b'\r' | b'\n'));
                        let (more, left) = after.split_at(plain.unwrap_or(after.len()));
                        fields.bytes.push(byte);
                        fields.bytes.extend_from_slice(more);
                        rest = left;
                        State::Plain
                    }
                };
            }
            let taken = buffer.len() - rest.len();
            self.input.consume(taken);
            if ended {
                return Ok(true);
            }
            if fields.bytes.len() + fields.ends.len() > MAX_ROW {
                return Err(CsvError::TooLong);
            }
        }
    }
}

/// A row: its values, by column.
type CsvRow = Vec<Option<String>>;

/// The names and the rows of a whole file that is at hand; neither where it is empty.
///
/// # Errors
/// The bytes are not CSV, or are cut.
pub(crate) fn table(file: &[u8]) -> Result<(Vec<String>, Vec<CsvRow>), CsvError> {
    let (mut reader, mut fields, mut rows) = (CsvReader::new(file)?, Fields::default(), Vec::new());
    let text = |fields: &Fields, at| fields.get(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    reader.read(&mut fields)?;
    let head = (0..fields.len()).map(|at| text(&fields, at).unwrap_or_default()).collect();
    while reader.read(&mut fields)? {
        rows.push((0..fields.len()).map(|at| text(&fields, at)).collect());
    }
    Ok((head, rows))
}
