//! Who may be sent: suppression lists, consent, holdouts. Pure: values in, the cause of a refusal out.
//!
//! Values are compared in one form: the canonical bytes of a key, of a text without the blanks around it. A text with an
//! `@` is taken for an address, whose case says nothing; a text that is a whole number is that number. So `Ann@X.de ` on a
//! list is `ann@x.de` in a model, and `'5'` is `5`. Everything else is compared as it is written.

use std::collections::BTreeSet;

use backhaul_kit::{Fault, RowPage, Value, key};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::hashes::{Gathered, Hashes, Scratch};
use super::{Cause, DiffError};

/// Values of a list are held as hashes of 64 bits: one of two million lists a stranger with a chance of 1 in 10^13.
const LIST_SEED: u64 = 0x7065_6f70_6c65;

/// Takes the values of the columns of suppression lists. A sync has one for all of its lists, so that they share its memory.
pub(crate) struct Lists(Gathered);

impl Lists {
    /// Holds a quarter of `memory` bytes, 8 for each value; what is more goes to scratch files.
    pub(crate) fn new(memory: u64, scratch: Scratch) -> Self {
        Self(Gathered::new(memory, scratch))
    }

    /// Adds a value of a column; NULL is nobody.
    ///
    /// # Errors
    /// A value that has no exact form; a scratch file cannot be written.
    pub(crate) fn add(&mut self, column: ListColumn, value: &Value) -> Result<(), DiffError> {
        match hash(column, value)? {
            Some(hash) => Ok(self.0.push(hash)?),
            None => Ok(()),
        }
    }

    /// Makes them ready to be asked. Sorts: of large lists that takes a while.
    ///
    /// # Errors
    /// A scratch file cannot be written or read.
    pub(crate) fn ready(self) -> Result<Listed, DiffError> {
        Ok(Listed(self.0.ready()?))
    }
}

/// A column of a sync's lists: the first, the second …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListColumn(pub u64);

/// The values of suppression lists, as hashes.
#[derive(Default)]
pub struct Listed(Hashes);

impl Listed {
    fn has(&self, column: ListColumn, value: &Value) -> Result<bool, DiffError> {
        match hash(column, value)? {
            Some(hash) => Ok(self.0.has(hash)?),
            None => Ok(false),
        }
    }
}

/// Draws the people that are held out.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Hashes below it are held out; `None` is everybody.
    below: Option<u64>,
    seed: u64,
}

impl Draw {
    /// A share of the people, as a fraction, drawn with this salt. With a greater share the people of a smaller one are
    /// still held out.
    pub fn new(fraction: f64, salt: &str) -> Self {
        let below = (fraction < 1.0).then(|| (fraction.max(0.0) * 2f64.powi(64)) as u64);
        Self { below, seed: xxh3_64(salt.as_bytes()) }
    }

    /// Whether the person of this value is held out; nobody is not.
    ///
    /// # Errors
    /// A value that has no exact form.
    pub fn holds_out(&self, value: &Value) -> Result<bool, Fault> {
        let Some(bytes) = canonical(value)? else { return Ok(false) };
        Ok(self.below.is_none_or(|below| xxh3_64_with_seed(&bytes, self.seed) < below))
    }
}

/// A signal that must have been given.
#[derive(Clone, Debug)]
pub struct Given {
    /// Place of its column.
    pub column: usize,
    /// The values that mean yes.
    pub granted: BTreeSet<String>,
}

/// Decides who may be sent; columns are places in the scan's projection.
#[derive(Default)]
pub struct Eligibility {
    /// Columns whose value must not be on this column of a list.
    pub suppressed: Vec<(usize, ListColumn)>,
    /// The lists.
    pub listed: Listed,
    /// Signals, all of which must have been given.
    pub consent: Vec<Given>,
    /// The column that decides who is held out.
    pub holdout: Option<(usize, Draw)>,
    /// Whether a record that was delivered is removed; if not, it is left as it is.
    pub removes: bool,
}

impl Eligibility {
    /// Why a row may not be sent, if it may not. Of several causes the first counts: suppressed, withdrawn, held out.
    ///
    /// # Errors
    /// A value cannot be read, or has no exact form, or a list cannot be read: nobody is let through by mistake.
    pub fn refuses(&self, page: &dyn RowPage, row: usize) -> Result<Option<Cause>, DiffError> {
        self.judge(|column| page.value(row, column))
    }

    /// [`Eligibility::refuses`], of the values of a row.
    ///
    /// # Errors
    /// As it says.
    pub fn judge(&self, value: impl Fn(usize) -> Result<Value, Fault>) -> Result<Option<Cause>, DiffError> {
        for (column, on) in &self.suppressed {
            if self.listed.has(*on, &value(*column)?)? {
                return Ok(Some(Cause::Suppressed));
            }
        }
        for given in &self.consent {
            if !is_granted(&value(given.column)?, &given.granted) {
                return Ok(Some(Cause::Withdrawn));
            }
        }
        if let Some((column, draw)) = &self.holdout
            && draw.holds_out(&value(*column)?)?
        {
            return Ok(Some(Cause::HeldOut));
        }
        Ok(None)
    }
}

/// NULL and whatever is not named mean no.
fn is_granted(value: &Value, granted: &BTreeSet<String>) -> bool {
    match value {
        Value::Null | Value::Invalid(_) => false,
        Value::Text(text) => granted.contains(text),
        other => granted.contains(&other.to_text()),
    }
}

fn hash(column: ListColumn, value: &Value) -> Result<Option<u64>, Fault> {
    Ok(canonical(value)?.map(|bytes| xxh3_64_with_seed(&bytes, LIST_SEED.wrapping_add(column.0))))
}

/// The one form of a value; `None` of NULL and of a text of blanks.
fn canonical(value: &Value) -> Result<Option<Vec<u8>>, Fault> {
    let encoded = match value {
        Value::Null => return Ok(None),
        Value::Text(text) => match text.trim() {
            "" => return Ok(None),
            text if text.contains('@') => key::encode(&[&Value::Text(text.to_lowercase())]),
            text => match text.parse::<i64>() {
                Ok(number) if number.to_string() == text => key::encode(&[&Value::Int(number)]),
                _ => key::encode(&[&Value::Text(text.to_owned())]),
            },
        },
        Value::Invalid(_) => Err(key::KeyError::Type),
        other => key::encode(&[other]),
    };
    encoded.map(|bytes| Some(bytes.to_vec())).map_err(|_| {
        Fault::config("a value by which people are found on a list, or drawn, has no exact form")
            .remedy("cast the column in the model: whole numbers, text and uuids have one")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diff::hashes::tests::scratch;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    const FIRST: ListColumn = ListColumn(0);
    const SECOND: ListColumn = ListColumn(1);

    fn lists<'a>(memory: u64, values: impl IntoIterator<Item = (ListColumn, &'a Value)>) -> Listed {
        let mut lists = Lists::new(memory, scratch());
        values.into_iter().for_each(|(column, value)| lists.add(column, value).expect("a value"));
        lists.ready().expect("ready")
    }

    fn has(on_the_list: &Value, value: &Value) -> Result<bool, DiffError> {
        lists(1 << 20, [(FIRST, on_the_list)]).has(FIRST, value)
    }

    fn granted(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_value_is_found_in_whatever_form_it_is_written() {
        let same = [
            (text("Ann.Lee@Example.COM "), text("ann.lee@example.com")),
            (Value::Int(5), text("5")),
            (text(" 5"), Value::Decimal("5.00".into())),
            (Value::Uuid([7; 16]), Value::Uuid([7; 16])),
            (text("AB-1"), text("AB-1 ")),
        ];
        for (on_the_list, sent) in &same {
            assert!(has(on_the_list, sent).expect("asked"), "{on_the_list:?} {sent:?}");
        }
        // The case of an id tells people apart, and so do leading zeros.
        for (on_the_list, sent) in [(text("aB1"), text("AB1")), (text("007"), Value::Int(7)), (text(" "), text(""))] {
            assert!(!has(&on_the_list, &sent).expect("asked"), "{on_the_list:?} {sent:?}");
        }
        for nobody in [Value::Null, text(""), text(" ")] {
            assert!(!has(&nobody, &nobody).expect("asked"), "NULL and blanks are nobody");
        }
        let other = lists(1 << 20, [(SECOND, &text("a"))]).has(FIRST, &text("a"));
        assert!(!other.expect("asked"), "another column of the lists");
        for shapeless in [Value::Float(0.5), Value::Invalid("NaN".into())] {
            assert!(has(&text("a"), &shapeless).is_err(), "nobody is let through by mistake: {shapeless:?}");
        }
    }

    #[test]
    fn who_is_drawn_stays_drawn_in_every_version() {
        let draw = Draw::new(0.05, "always-on-2026");
        let drawn: Vec<i64> = (0..200).filter(|id| draw.holds_out(&Value::Int(*id)).expect("drawn")).collect();
        assert_eq!(drawn, DRAWN, "a change of the hash would hold out other people");
        assert_ne!(
            (0..200).filter(|id| Draw::new(0.05, "x").holds_out(&Value::Int(*id)).expect("drawn")).collect::<Vec<_>>(),
            drawn
        );
        let share = (0..100_000).filter(|id| draw.holds_out(&Value::Int(*id)).expect("drawn")).count();
        assert!((4_700..5_300).contains(&share), "{share} of 100,000");
    }

    const DRAWN: [i64; 11] = [26, 27, 54, 59, 107, 143, 147, 152, 159, 169, 192];

    #[test]
    fn nobody_is_held_out_by_nothing_and_everybody_by_all() {
        let holds_out = |fraction, value: &Value| Draw::new(fraction, "s").holds_out(value).expect("drawn");
        assert!((0..1000).all(|id| !holds_out(0.0, &Value::Int(id)) && holds_out(1.0, &Value::Int(id))));
        assert!(!holds_out(1.0, &Value::Null));
    }

    proptest! {
        #[test]
        fn a_wider_holdout_holds_out_those_of_the_narrower(salt: String, less in 0.0..=1.0f64, more in 0.0..=1.0f64, ids: Vec<i64>) {
            let (less, more) = (less.min(more), less.max(more));
            for id in ids {
                let drawn = |fraction| Draw::new(fraction, &salt).holds_out(&Value::Int(id)).expect("drawn");
                prop_assert!(!drawn(less) || drawn(more));
                let as_text = Draw::new(less, &salt).holds_out(&text(&id.to_string())).expect("drawn");
                prop_assert_eq!(drawn(less), as_text, "another model may have the id as text");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_row_passes_that_is_listed_or_lacks_consent(
            list in proptest::collection::vec((0..9i64, 0..9i64), 0..6),
            id in proptest::option::of(0..9i64),
            mail in proptest::option::of(0..9i64),
            consent in prop_oneof![
                Just(Value::Null), Just(text("granted")), Just(text("GRANTED")), Just(text("denied")), Just(text("")),
                Just(Value::Invalid("x".into())),
            ],
            more in prop_oneof![Just(Value::Null), Just(Value::Bool(true)), Just(Value::Bool(false))],
            share in 0.0..=1.0f64,
            memory in prop_oneof![Just(0), Just(64), Just(1 << 20)],
        ) {
            let address = |n: i64| format!("P{n}@Example.com");
            let ids: Vec<Value> = list.iter().map(|(id, _)| Value::Int(*id)).collect();
            let mails: Vec<Value> = list.iter().map(|(_, mail)| text(&address(*mail).to_uppercase())).collect();
            let values = ids.iter().map(|id| (FIRST, id)).chain(mails.iter().map(|mail| (SECOND, mail)));
            let eligibility = Eligibility {
                suppressed: vec![(0, FIRST), (1, SECOND)],
                listed: lists(memory, values),
                consent: vec![
                    Given { column: 2, granted: granted(&["granted"]) },
                    Given { column: 3, granted: granted(&["true"]) },
                ],
                holdout: Some((0, Draw::new(share, "s"))),
                removes: true,
            };
            let row = [
                id.map_or(Value::Null, |id| text(&id.to_string())),
                mail.map_or(Value::Null, |mail| text(&address(mail))),
                consent.clone(),
                more.clone(),
            ];
            let judged = eligibility.judge(|column| Ok(row[column].clone())).expect("judged");
            let is_listed = list.iter().any(|(listed, _)| Some(*listed) == id) || list.iter().any(|(_, listed)| Some(*listed) == mail);
            let consents = consent == text("granted") && more == Value::Bool(true);
            let held_out = id.is_some_and(|id| Draw::new(share, "s").holds_out(&Value::Int(id)).expect("drawn"));
            let expected = match (is_listed, consents, held_out) {
                (true, _, _) => Some(Cause::Suppressed),
                (_, false, _) => Some(Cause::Withdrawn),
                (_, _, true) => Some(Cause::HeldOut),
                _ => None,
            };
            prop_assert_eq!(judged, expected);
        }
    }
}
