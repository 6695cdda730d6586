//! `backhaul plan` at work.

use std::sync::Arc;

use backhaul_kit::{FieldValue, key};
use serde_json::{Value, json};

use super::failure;
use super::request;
use super::run::cancel_on_signals;
use super::watch::Bars;
use crate::cli::screen::{number, plural};
use crate::cli::{Engine, Exit, Failure, Format, PlanArgs, Screen};
use crate::config::{FieldSource, SyncDef};
use crate::diff::{Op, OpKind, PlanCounts};
use crate::mask::{mask, mask_key};
use crate::run::{Preview, RunOptions, Runs};

pub(super) async fn plan(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    syncs: &[Arc<SyncDef>],
    args: &PlanArgs,
) -> Result<Exit, Failure> {
    let mut shown = Vec::new();
    let mut pending = false;
    let cancel = cancel_on_signals()?;
    for sync in syncs {
        let options = RunOptions::default();
        let planned = runs.plan(sync, &options, &Bars::new(screen, &sync.name), &cancel).await;
        let preview = planned.map_err(|e| failure(engine, &e))?;
        pending |= preview.plan.summary().counts.sent() > 0;
        if let Some(key) = &args.request {
            request::show(engine, screen, runs, &preview, key)?;
            continue;
        }
        let samples = samples(&preview, args.sample).map_err(|e| failure(engine, &e.into()))?;
        if screen.format() == Format::Json {
            shown.push(body(&preview, &samples));
        } else {
            screen.print(&text(&preview, &samples, screen.format()))?;
        }
    }
    if screen.format() == Format::Json && args.request.is_none() {
        screen.json(&json!({ "plans": shown }))?;
    }
    Ok(if args.detailed_exitcode && pending { Exit::Pending } else { Exit::Ok })
}

/// One row of a plan, with its people's data masked.
struct Sample {
    kind: OpKind,
    key: String,
    fields: Vec<(String, String)>,
}

/// The first few rows of each kind that would be sent or refused.
fn samples(preview: &Preview, most: usize) -> Result<Vec<Sample>, crate::diff::PlanError> {
    let mut samples = Vec::new();
    for kind in [OpKind::Change, OpKind::Move, OpKind::Add, OpKind::Remove, OpKind::Reject] {
        let mut left = most;
        for op in preview.plan.ops(Some(&[kind])) {
            let op = op?;
            if left == 0 {
                break;
            }
            if op.kind == kind {
                left -= 1;
                samples.push(sample(preview, &op));
            }
        }
    }
    Ok(samples)
}

fn sample(preview: &Preview, op: &Op) -> Sample {
    let sync = &preview.sync;
    let personal_key = sync.model.person.is_some() || sync.model.key.iter().any(|(k, _)| is_personal(sync, k));
    let key = key::display(&op.key);
    let mut fields = Vec::new();
    for (place, field) in sync.fields.iter().enumerate() {
        // Of a changed row only what changed is of interest, where that is known.
        if op.changed.get(place).is_some_and(|changed| !changed) {
            continue;
        }
        let Some(value) = op.fields.get(place) else { continue };
        let text = match value {
            FieldValue::Skip => continue,
            FieldValue::Clear => String::from("(cleared)"),
            FieldValue::Set(value) if value.is_null() => String::from("null"),
            FieldValue::Set(value) => value.to_text(),
        };
        let personal = match &field.source {
            FieldSource::Column(column, _) => is_personal(sync, column),
            FieldSource::Template { columns, .. } => columns.iter().any(|c| is_personal(sync, c)),
            FieldSource::Value(_) => false,
        };
        let shown = if personal || text.contains('@') { mask(&text) } else { format!("\"{text}\"") };
        fields.push((field.target.clone(), shown));
    }
    if let Some(reason) = &op.reason {
        fields.push((reason.field.clone().unwrap_or_default(), reason.code.clone()));
    }
    Sample { kind: op.kind, key: if personal_key { mask_key(&key) } else { key }, fields }
}

fn is_personal(sync: &SyncDef, column: &str) -> bool {
    sync.model.personal.contains_key(column) || sync.model.person.as_deref() == Some(column)
}

fn sign(kind: OpKind) -> char {
    match kind {
        OpKind::Add => '+',
        OpKind::Remove | OpKind::Forget => '−',
        OpKind::Move => '→',
        OpKind::Reject => '✗',
        OpKind::Change | OpKind::Touch | OpKind::Refresh => '~',
    }
}

fn body(preview: &Preview, samples: &[Sample]) -> Value {
    let summary = preview.plan.summary();
    let samples: Vec<Value> = samples
        .iter()
        .map(|s| {
            let fields: serde_json::Map<String, Value> =
                s.fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({ "kind": sign(s.kind), "key": s.key, "fields": fields })
        })
        .collect();
    json!({
        "sync": preview.sync.name,
        "destination": preview.sync.destination,
        "object": preview.sync.prepared.object(),
        "counts": summary.counts,
        "send": summary.counts.sent(),
        "calls": preview.calls,
        "holds": preview.holds,
        "hash": summary.hash,
        "samples": samples,
    })
}

fn text(preview: &Preview, samples: &[Sample], format: Format) -> String {
    let sync = &preview.sync;
    let counts = &preview.plan.summary().counts;
    let mut lines = vec![format!("{} → {} {}", sync.name, sync.destination, sync.prepared.object())];
    if format == Format::Markdown {
        lines[0] = format!("### {}", lines[0]);
        lines.push(String::new());
    }
    let prefix = if format == Format::Markdown { "- " } else { "  " };
    lines.push(format!("{prefix}{}", sentence(counts)));
    if counts.sent() > 0 {
        lines.push(format!("{prefix}{} to send", plural(preview.calls, "call")));
    }
    for sample in samples {
        let fields: Vec<String> = sample.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let mut shown = fields.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        if fields.len() > 4 {
            shown.push_str(&format!(", and {} more", fields.len() - 4));
        }
        lines.push(format!("{prefix}{} {}  {shown}", sign(sample.kind), sample.key).trim_end().to_owned());
    }
    for hold in &preview.holds {
        lines.push(format!("{prefix}would be held: {}", hold.text));
    }
    lines.join("\n")
}

fn sentence(counts: &PlanCounts) -> String {
    let mut parts = vec![format!("{} compared", plural(counts.rows, "row"))];
    let mut part = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{} {what}", number(n)));
        }
    };
    part(counts.added, "added");
    part(counts.changed, "changed");
    part(counts.moved, "moved");
    part(counts.removed, "removed");
    part(counts.refreshed, "sent again");
    part(counts.touched, "changed in columns that are not mapped to a new value");
    part(counts.rejected, "refused by the mapping");
    part(counts.withheld, "withheld after a reject");
    part(counts.unchanged, "unchanged");
    parts.join(", ")
}
