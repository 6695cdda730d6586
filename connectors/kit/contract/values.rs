//! What rows may hold: any text, nothing, too much.

use std::sync::Arc;

use super::http::{Case, HttpSubject, calls, serve};
use super::subject::{NOWHERE, batch, open, verdicts, write};
use super::{Received, Reply};
use crate::batch::{Batch, Row};
use crate::fault::FaultClass;
use crate::value::{FieldRef, FieldValue, Value};

/// Texts that break what is put together carelessly.
const HOSTILE: [&str; 12] = [
    "😀 👩‍👩‍👧‍👦",
    "e\u{301}\u{200d}\u{feff}",
    "\u{202e}txet",
    "\u{0}\u{1}\u{1b}[31m",
    "\"}],\"x\":[{\"",
    "a&b=c%00;d?e#f",
    "line\r\nX-Injected: yes\r\n\r\n",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "'; drop table rows; --",
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}",
];
/// Larger than any field of a vendor.
const HUGE: usize = 1 << 20;

/// Whatever text its rows hold, a call says what it is meant to say, or the row is refused.
pub async fn whatever_text_a_row_holds_the_call_is_sound<S: HttpSubject + 'static>(subject: S) {
    let hostile = |text: &'static str| move |value: &str| Value::Text(format!("{value}{text}"));
    let subject = Arc::new(subject);
    for text in HOSTILE {
        sound(&subject, hostile(text)).await;
    }
}

/// A row without one of its values is sent without it, or refused.
pub async fn a_row_may_lack_any_value<S: HttpSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    for lacking in [FieldValue::Set(Value::Null), FieldValue::Clear, FieldValue::Skip] {
        for operation in subject.operations() {
            let full = batch(&*subject, &*subject.prepare(NOWHERE), operation, 2);
            let places = full.rows.first().map_or(0, |row| row.fields.len());
            for place in 0..places {
                let mut one = full.clone();
                for row in &mut one.rows {
                    let fields = values(row).into_iter().enumerate();
                    row.fields = fields.map(|(n, value)| if n == place { lacking.clone() } else { value }).collect();
                }
                judge(&subject, one).await;
            }
        }
    }
}

/// A value of a megabyte is sent, refused, or the call is to be cut; no call is larger than the facts allow.
pub async fn a_huge_value_stays_within_the_caps<S: HttpSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    sound(&subject, |value: &str| Value::Text(format!("{value}{}", "x".repeat(HUGE)))).await;
}

/// Sends a batch of every operation whose texts are others.
async fn sound<S: HttpSubject + 'static>(subject: &Arc<S>, change: impl Fn(&str) -> Value) {
    for operation in subject.operations() {
        let mut batch = batch(&**subject, &*subject.prepare(NOWHERE), operation, 2);
        for row in &mut batch.rows {
            let fields = values(row).into_iter().map(|value| match value {
                FieldValue::Set(Value::Text(text)) => FieldValue::Set(change(&text)),
                other => other,
            });
            row.fields = fields.collect();
        }
        judge(subject, batch).await;
    }
}

async fn judge<S: HttpSubject + 'static>(subject: &Arc<S>, batch: Batch) {
    let (answering, asked) = (subject.clone(), batch.clone());
    let server =
        serve(subject, move |request| Reply::Answer(answering.answer(Case::AllAccepted, &asked, request))).await;
    let prepared = subject.prepare(server.url());
    let destination = open(&**subject, &*prepared);
    let what = batch.operation;
    match write(&*destination, &*prepared, &batch).await {
        Ok(delivery) => drop(verdicts(&batch, delivery)),
        Err(fault) => assert_eq!(fault.class, FaultClass::Split, "{what:?}: {fault}"),
    }
    let most = prepared.facts(batch.operation).max_bytes.unwrap_or(usize::MAX);
    for call in calls(&**subject, &server) {
        assert!(call.body.len() <= most, "{what:?}: a call of {} bytes", call.body.len());
        assert!(call.header("x-injected").is_none(), "{what:?}: a value became a header");
        assert!(is_well_formed(&call), "{what:?}: {} is not well formed", String::from_utf8_lossy(&call.body));
    }
}

/// Whether a body is what its type says.
fn is_well_formed(call: &Received) -> bool {
    let kind = call.header("content-type").unwrap_or_default();
    if call.body.is_empty() {
        return true;
    }
    if kind.contains("json") {
        return serde_json::from_slice::<serde_json::Value>(&call.body).is_ok();
    }
    // A form is ASCII: everything else is escaped in it.
    !kind.contains("form-urlencoded") || call.body.is_ascii()
}

fn values(row: &Row) -> Vec<FieldValue> {
    let owned = |field: FieldRef<'_>| match field {
        FieldRef::Skip => FieldValue::Skip,
        FieldRef::Clear => FieldValue::Clear,
        FieldRef::Set(value) => FieldValue::Set(value.into()),
    };
    row.fields.iter().map(owned).collect()
}
