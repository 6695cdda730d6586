//! Rows as lines of CSV.

use backhaul_kit::ValueRef;

/// One line of CSV, appended to what is there.
pub(crate) struct CsvLine<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    first: bool,
}

impl<'a> CsvLine<'a> {
    /// A line without a value.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { start: out.len(), out, first: true }
    }

    /// Appends a whole line of texts.
    pub(crate) fn write<'t>(out: &'a mut Vec<u8>, texts: impl Iterator<Item = &'t str>) {
        let mut line = Self::new(out);
        texts.for_each(|text| line.text(text));
        line.end("\n");
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
    }

    /// A text, in quotes where it needs them; the empty text stands in quotes.
    pub(crate) fn text(&mut self, text: &str) {
        self.comma();
        if !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        self.out.push(b'"');
        for byte in text.bytes() {
            if byte == b'"' {
                self.out.push(b'"');
            }
            self.out.push(byte);
        }
        self.out.push(b'"');
    }

    /// A value as text; of no value and of NULL nothing stands there, not even quotes.
    pub(crate) fn value(&mut self, value: Option<ValueRef<'_>>) {
        match value {
            None | Some(ValueRef::Null | ValueRef::Invalid(_)) => self.comma(),
            Some(ValueRef::Text(text)) => self.text(text),
            Some(value) => self.text(&value.to_text()),
        }
    }

    /// Ends the line with these characters.
    pub(crate) fn end(self, with: &str) {
        if self.out.len() == self.start {
            // A line of one empty value would look like no line at all.
            self.out.extend_from_slice(b"\"\"");
        }
        self.out.extend_from_slice(with.as_bytes());
    }
}
