//! Whether a sync's mapping is the one that a snapshot was made with.

use aws_lc_rs::digest::{Context, SHA256};
use backhaul_kit::{NullPolicy, Schema};

use crate::config::{Country, Field, FieldSource, Reference, Referred, SyncDef};
use crate::transform::Normaliser;

/// Raised when the encoding below changes.
const ENCODING: u64 = 1;
/// Fingerprints are xxh3-64 over the row in the source's own encoding.
const FINGERPRINT: &str = "xxh3-64/raw";

/// SHA-256 over what decides the bytes that a destination gets for a row: the columns with their type
/// classes, the key, the fields with their sources and modifiers, and the versions of the normalisers and
/// of the fingerprint.
///
/// The model's SQL is left out: an edited query is ordinary data, and guards judge it. The order of the
/// fields is part of it, because snapshots remember fields by their place.
pub fn digest(sync: &SyncDef, schema: &Schema) -> [u8; 32] {
    let mut encoder = Encoder(Context::new(&SHA256));
    encoder.number(ENCODING);
    encoder.text(FINGERPRINT);
    encoder.number(u64::from(Normaliser::VERSION));
    let columns = super::columns(sync);
    encoder.number(columns.len() as u64);
    for column in &columns {
        encoder.text(column);
        encoder.text(&schema.column(column).map_or_else(String::new, |(_, column)| column.class.to_string()));
    }
    encoder.number(sync.model.key.len() as u64);
    for (column, _) in &sync.model.key {
        encoder.text(column);
    }
    let matched = sync.shape.match_field.as_ref().and_then(|(place, _)| sync.fields.get(*place));
    encoder.text(matched.map_or("", |field| field.target.as_str()));
    encoder.number(sync.fields.len() as u64);
    for field in &sync.fields {
        encoder.field(field);
    }
    let mut out = [0; 32];
    out.copy_from_slice(encoder.0.finish().as_ref());
    out
}

/// Every part is preceded by its length or its tag, so that no two mappings have the same bytes.
struct Encoder(Context);

impl Encoder {
    fn number(&mut self, n: u64) {
        self.0.update(&n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn field(&mut self, field: &Field) {
        self.text(&field.target);
        match &field.source {
            FieldSource::Column(column, _) => {
                self.text("column");
                self.text(column);
            }
            FieldSource::Value(value) => {
                self.text("value");
                self.value(value);
            }
            FieldSource::Template { text, .. } => {
                self.text("template");
                self.text(text);
            }
            FieldSource::Reference(reference) => self.reference(reference),
        }
        self.text(field.normalise.map_or("", Normaliser::as_str));
        // Nothing where there is none: mappings of earlier versions keep their digests.
        match &field.country {
            None => {}
            Some(Country::Is(code)) => ["country", code.as_str()].into_iter().for_each(|text| self.text(text)),
            Some(Country::Column(column, _)) => {
                ["country of", column.as_str()].into_iter().for_each(|text| self.text(text));
            }
        }
        match &field.default {
            Some(value) => {
                self.number(1);
                self.value(value);
            }
            None => self.number(0),
        }
        self.text(match field.null {
            NullPolicy::Send => "send",
            NullPolicy::Skip => "skip",
            NullPolicy::Clear => "clear",
        });
        self.text(field.write.as_str());
    }

    fn reference(&mut self, reference: &Reference) {
        match &reference.to {
            Referred::Lookup { object, by } => ["lookup", object, by].map(|text| self.text(text)),
            Referred::Sync(sync) => ["ref", sync, ""].map(|text| self.text(text)),
            Referred::Own => ["ref", "self", ""].map(|text| self.text(text)),
        };
        self.text(&reference.column.0);
        self.text(reference.missing.as_str());
    }

    fn value(&mut self, value: &backhaul_kit::Value) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        self.bytes(&bytes);
    }
}
