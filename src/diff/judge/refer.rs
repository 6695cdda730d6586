//! Rows that refer to other records. They are put aside until the scan is over; then each value is asked for once, and
//! they are judged with the ids in their fields: the plan has what is sent, and the snapshot remembers it.

use std::collections::HashMap;

use backhaul_kit::value::{put_varint, take_varint};
use backhaul_kit::{Fault, FieldValue, Fields, KeyHash, Reason, RowDigest, Value};
use bytes::Bytes;

use super::Judge;
use crate::config::Missing;
use crate::diff::aside::PutAside;
use crate::diff::plan::codec;
use crate::diff::refer::key_of;
use crate::diff::standing::Standing;
use crate::diff::waves::{Parents, Waves};
use crate::diff::{Answer, DiffError, Op, Recall, Reference};
use crate::snapshot::FileError;

const SUFFIX: &str = ".refers";
/// The code of a row whose record is not there.
const MISSING: &str = "REFERENCE_MISSING";
/// The code of a row that several records fit.
const AMBIGUOUS: &str = "REFERENCE_AMBIGUOUS";
/// The code of a row of whose record the destination says nothing.
const UNTOLD: &str = "REFERENCE_NOT_CONFIRMED";
/// The standing of a row without a record.
const NO_RECORD: u8 = 4;
/// How many of the keys of a ring an error names.
const EXAMPLES: usize = 5;

/// A row that waits to be told what it refers to.
struct Entry {
    op: Op,
    standing: Option<Standing>,
    /// The hashes of the fields that the destination has of it.
    remembered: Vec<u32>,
}

/// For every reference what its values stand for, by their encoding.
type Answers = Vec<HashMap<Vec<u8>, Answer>>;

/// What becomes of a row.
enum Told {
    Fields(Vec<FieldValue>),
    Refused(Reason),
    /// It waits, perhaps for a row that this plan sends.
    Waits {
        in_turn: bool,
    },
}

impl<R: Recall> Judge<'_, R> {
    /// Whether a reference of the row has a value.
    pub(super) fn refers(&self, fields: &[FieldValue]) -> bool {
        let has_value = |reference: &Reference| match fields.get(reference.place) {
            Some(FieldValue::Set(value)) => !value.is_null(),
            _ => false,
        };
        self.mapper.references().iter().any(has_value)
    }

    /// Gives the references of a row that refers to nothing what is sent then.
    pub(super) fn settle_nulls(&self, fields: &mut [FieldValue]) {
        for reference in self.mapper.references() {
            if let Some(field) = fields.get_mut(reference.place) {
                *field = self.mapper.settle(reference.place, Value::Null);
            }
        }
    }

    /// Puts a row aside, with what is remembered of its record.
    pub(super) fn put_aside(
        &mut self,
        mut op: Op,
        standing: Option<Standing>,
        fields: Vec<FieldValue>,
    ) -> Result<(), DiffError> {
        op.fields = fields.into_iter().collect();
        let remembered = &self.remembered;
        self.aside.push(&self.plan, SUFFIX, |out| {
            codec::encode(&op, out);
            out.push(standing.map_or(NO_RECORD, |standing| standing as u8));
            put_varint(remembered.len() as u64, out);
            out.extend(remembered.iter().flat_map(|hash| hash.to_le_bytes()));
        })?;
        Ok(())
    }

    /// The keys of rows that were put aside, as far as `wanted`.
    pub(in crate::diff) fn keys_put_aside(
        &mut self,
        wanted: impl Fn(KeyHash) -> bool,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), DiffError> {
        let aside = std::mem::take(&mut self.aside).into_reader()?;
        each_entry(&aside, self.seed, |entry| {
            if wanted(entry.op.key_hash) {
                each(&entry.op.key);
            }
            Ok(())
        })
    }

    /// Judges the rows that were put aside.
    pub(in crate::diff) fn refer(&mut self) -> Result<(), DiffError> {
        let aside = std::mem::take(&mut self.aside).into_reader()?;
        if aside.is_empty() {
            return Ok(());
        }
        let answers = self.ask(&aside)?;
        let parents = self.coming(&aside, &answers)?;
        each_entry(&aside, self.seed, |entry| self.told(entry, &answers, &parents))
    }

    /// Asks for every value once.
    fn ask(&mut self, aside: &PutAside) -> Result<Answers, DiffError> {
        let references = self.mapper.references();
        let mut answers: Answers = references.iter().map(|_| HashMap::new()).collect();
        each_entry(aside, self.seed, |entry| {
            for (reference, answers) in references.iter().zip(&mut answers) {
                if let Some((encoded, _)) = entry.value(*reference) {
                    answers.entry(encoded).or_insert(Answer::Missing);
                }
            }
            Ok(())
        })?;
        let resolver = self.resolver.ok_or_else(|| Fault::bug("a row refers to a record, and nobody can find it"))?;
        for (reference, answers) in references.iter().zip(&mut answers) {
            let values: Option<Vec<Value>> =
                answers.keys().map(|encoded| Value::decode(&mut encoded.as_slice())).collect();
            let values = values.ok_or(FileError::Crypto("a value changed in memory"))?;
            if values.is_empty() {
                continue;
            }
            let told = resolver.resolve(reference.place, &values)?;
            if told.len() != values.len() {
                return Err(Fault::bug("another number of answers than values").into());
            }
            answers.values_mut().zip(told).for_each(|(answer, told)| *answer = told);
        }
        self.counts.looked_up = resolver.looked_up();
        Ok(answers)
    }

    /// The rows that others wait for: which of them are sent by this plan, or wait themselves.
    fn coming(&mut self, aside: &PutAside, answers: &Answers) -> Result<Parents, DiffError> {
        let (references, seed) = (self.mapper.references(), self.seed);
        let (mut waves, mut field) = (Waves::default(), 0);
        if !references.iter().any(|reference| reference.own) {
            return Ok(Parents::default());
        }
        each_entry(aside, seed, |entry| {
            for (reference, answers) in references.iter().zip(answers).filter(|(reference, _)| reference.own) {
                let Some((encoded, value)) = entry.value(*reference) else { continue };
                let is_there = matches!(answers.get(&encoded), Some(Answer::Id(_)));
                if let Some(parent) = key_of(&value).filter(|_| !is_there) {
                    waves.add(entry.op.key_hash, KeyHash::of(&parent, seed));
                    field = reference.place;
                }
            }
            Ok(())
        })?;
        if let Some(ring) = waves.ring() {
            let mut examples = vec![Vec::new(); EXAMPLES.min(ring.len())];
            each_entry(aside, seed, |entry| {
                if let Some(at) = ring.iter().take(EXAMPLES).position(|row| *row == entry.op.key_hash) {
                    examples[at] = entry.op.key.to_vec();
                }
                Ok(())
            })?;
            return Err(DiffError::ReferenceRing { rows: ring.len(), examples, field });
        }
        let mut parents = waves.into_parents();
        if parents.is_empty() {
            return Ok(parents);
        }
        self.plan.read_back(|op| {
            if op.kind.is_sent() {
                parents.comes(op.key_hash);
            }
            true
        })?;
        each_entry(aside, seed, |entry| {
            parents.comes(entry.op.key_hash);
            Ok(())
        })?;
        Ok(parents)
    }

    /// Judges a row whose values are known.
    fn told(&mut self, entry: Entry, answers: &Answers, parents: &Parents) -> Result<(), DiffError> {
        if self.is_full() {
            self.counts.postponed += 1;
            return Ok(());
        }
        let told = self.fields_of(&entry, answers, parents);
        let Entry { mut op, standing, remembered } = entry;
        op.fields = Fields::default();
        match told {
            Told::Waits { in_turn } => {
                self.counts.waiting += 1;
                self.counts.next_wave += u64::from(in_turn);
                let digest = RowDigest { key: op.key_hash, fingerprint: op.fingerprint };
                return self.note_waiting(digest, &op.key);
            }
            Told::Refused(reason) => op.reason = Some(Box::new(reason)),
            Told::Fields(fields) => {
                self.remembered = remembered;
                self.decide(&mut op, standing, &fields);
            }
        }
        self.write(&op)?;
        Ok(())
    }

    /// The row's fields with the ids of what it refers to.
    fn fields_of(&self, entry: &Entry, answers: &Answers, parents: &Parents) -> Told {
        let mut fields: Vec<FieldValue> = entry.op.fields.iter().map(FieldValue::from).collect();
        let (mut waits, mut in_turn) = (false, true);
        for (reference, answers) in self.mapper.references().iter().zip(answers) {
            let place = reference.place;
            let refuse = |code, text: &str| {
                Told::Refused(Reason { field: self.mapper.fields().get(place).cloned(), ..Reason::new(code, text) })
            };
            let Some((encoded, value)) = entry.value(*reference) else {
                fields[place] = self.mapper.settle(place, Value::Null);
                continue;
            };
            let answer = answers.get(&encoded).unwrap_or(&Answer::Missing);
            let comes = |key: Vec<u8>| parents.is_coming(KeyHash::of(&key, self.seed));
            let is_coming = || reference.own && key_of(&value).is_some_and(comes);
            fields[place] = match (answer, reference.missing) {
                (Answer::Id(id), _) => self.mapper.settle(place, Value::Text(id.clone())),
                (Answer::Ambiguous, _) => return refuse(AMBIGUOUS, "several records have the value"),
                (Answer::Untold, _) => return refuse(UNTOLD, "the destination does not say whether a record has it"),
                // Whatever is said of records that are not there: this one is about to be.
                _ if is_coming() => {
                    waits = true;
                    continue;
                }
                (_, Missing::Wait) => {
                    (waits, in_turn) = (true, false);
                    continue;
                }
                (Answer::Nameless, Missing::Reject) => return refuse(MISSING, "the id of its record is not known"),
                (Answer::Missing, Missing::Reject) => return refuse(MISSING, "there is no such record"),
                (_, Missing::Skip) => FieldValue::Skip,
                (_, Missing::Null) => self.mapper.settle(place, Value::Null),
            };
        }
        if waits { Told::Waits { in_turn } } else { Told::Fields(fields) }
    }
}

impl Entry {
    /// The value that finds what it refers to, and its encoding.
    fn value(&self, reference: Reference) -> Option<(Vec<u8>, Value)> {
        let value = Value::from(self.op.fields.get(reference.place)?.value().filter(|value| !value.is_null())?);
        let mut encoded = Vec::new();
        value.encode(&mut encoded);
        Some((encoded, value))
    }
}

fn each_entry(
    aside: &PutAside,
    seed: u64,
    mut each: impl FnMut(Entry) -> Result<(), DiffError>,
) -> Result<(), DiffError> {
    for piece in aside.pieces() {
        let piece = Bytes::from(piece?);
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let entry = take(&piece, &mut rest, seed);
            each(entry.ok_or(FileError::Crypto("a row that was put aside changed in memory"))?)?;
        }
    }
    Ok(())
}

fn take(piece: &Bytes, input: &mut &[u8], seed: u64) -> Option<Entry> {
    let op = codec::decode(piece, input, 0, seed)?;
    let (&standing, rest) = input.split_first()?;
    *input = rest;
    let standing = (standing != NO_RECORD).then(|| Standing::of_code(standing.into()));
    let hashes = usize::try_from(take_varint(input)?).ok()?.checked_mul(4)?;
    let (hashes, rest) = input.split_at_checked(hashes)?;
    *input = rest;
    let remembered = hashes.as_chunks::<4>().0.iter().map(|hash| u32::from_le_bytes(*hash)).collect();
    Some(Entry { op, standing, remembered })
}
