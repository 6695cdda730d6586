//! Bodies in form encoding, and keys that let a call be made again.

use aws_lc_rs::digest::{Context, SHA256};
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::Request;
use crate::value::hex;

/// A body in the encoding of HTML forms (`application/x-www-form-urlencoded`). Members of objects are named with
/// brackets, as `metadata[plan]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(String);

impl Form {
    /// Adds a parameter.
    pub fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        // Brackets stand in names only, where a form may have them as they are: a preview stays readable.
        self.0.push_str(&encoded(name).replace("%5B", "[").replace("%5D", "]"));
        self.0.push('=');
        self.0.push_str(&encoded(value));
    }

    /// Whether it has no parameter.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Request {
    /// With a body in form encoding.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(CONTENT_TYPE, form_type);
        self.body = form.0.into();
        self
    }
}

pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A key by which a vendor knows a call again: SHA-256 over the parts, in 64 hexadecimal digits. What the parts hold
/// cannot be read from it.
pub fn idempotency_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(digest.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_back_as_what_was_put_in() {
        let pairs = [
            ("name", "Ann & Bob = 100 %"),
            ("metadata[plan]", "[pro]+"),
            ("metadata[söme key]", "na\u{ef}ve \u{1F600}\n"),
            ("email", "a+b@example.com"),
            ("metadata[old]", ""),
        ];
        let mut form = Form::default();
        assert!(form.is_empty());
        pairs.iter().for_each(|(name, value)| form.push(name, value));
        assert!(form.0.starts_with("name=Ann+%26+Bob+%3D+100+%25&metadata[plan]=%5Bpro%5D%2B&"), "{}", form.0);
        // The reader of the URL standard is the judge.
        let read = reqwest::Url::parse(&format!("http://x/?{}", form.0)).expect("a URL");
        let read: Vec<(String, String)> = read.query_pairs().into_owned().collect();
        assert_eq!(read, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        let key = |parts: &[&str]| idempotency_key(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(key(&["ab", "c"]).len(), 64);
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
