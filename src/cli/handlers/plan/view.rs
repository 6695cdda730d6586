//! A plan as people and programs see it.

use std::time::Duration;

use backhaul_kit::http::limit::Forecast;
use jiff::Timestamp;
use serde::Serialize;

use super::sample::{Sample, samples};
use crate::cli::Format;
use crate::cli::runs::{RunView, decision_steps, in_brackets};
use crate::cli::screen::{block, duration, number, plural};
use crate::config::SyncDef;
use crate::diff::{OpKind, PlanCounts, PlanError, PlanReader};
use crate::guard::Hold;
use crate::run::{Preview, StoredPlan};
use crate::snapshot::Growing;
use crate::state::RunStatus;

/// Fields of a row that are shown to a person.
const FIELDS: usize = 4;

/// What a run would do.
#[derive(Debug, Serialize)]
pub(super) struct PlanView {
    sync: String,
    destination: String,
    object: String,
    counts: PlanCounts,
    /// Rows that the destination would hear of.
    send: u64,
    /// About how many calls that takes.
    calls: u64,
    /// What they come to under the account's limits, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<ForecastView>,
    plan_hash: String,
    /// The first moment that was asked for of a model that grows, and the column that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Asked>,
    /// Why a run would be held.
    holds: Vec<Hold>,
    /// What a run would say although nothing is held.
    warnings: Vec<String>,
    samples: Vec<Sample>,
    /// What people are told besides.
    #[serde(skip)]
    notes: Vec<String>,
    /// What they can do.
    #[serde(skip)]
    steps: Option<String>,
}

/// What a scan asked a growing model for.
#[derive(Debug, Serialize)]
struct Asked {
    column: String,
    /// `None` where all rows were asked for.
    from: Option<Timestamp>,
}

impl PlanView {
    /// With up to `most` rows of each kind.
    pub(super) fn of(preview: &Preview, most: usize) -> Result<Self, PlanError> {
        let view = Self::new(&preview.sync, &preview.plan, preview.calls, most)?;
        let forecast = preview.forecast.filter(|_| view.send > 0).map(ForecastView::of);
        let view = Self { warnings: preview.warnings.clone(), forecast, ..view };
        Ok(view.with_holds(preview.holds.clone()))
    }

    /// What a run would come to.
    fn with_holds(mut self, holds: Vec<Hold>) -> Self {
        self.notes = holds.iter().map(|hold| format!("would be held: {}", hold.text)).collect();
        let then = if holds.is_empty() { "send it" } else { "have it held, to approve or discard it" };
        self.steps = (self.send > 0).then(|| format!("  → {then}: backhaul run {}", self.sync));
        self.holds = holds;
        self
    }

    /// The stored plan of a run.
    pub(super) fn of_run(stored: &StoredPlan, run: &RunView, most: usize) -> Result<Self, PlanError> {
        let mut view = Self::new(&stored.sync, &stored.plan, stored.calls, most)?;
        view.notes = vec![format!("plan of run {}, which is {}", run.id, run.status)];
        view.notes.extend(run.held_reasons.iter().map(|reason| format!("held: {reason}")));
        view.steps = (run.status == RunStatus::Held).then(|| decision_steps(run));
        Ok(view)
    }

    fn new(sync: &SyncDef, plan: &PlanReader, calls: u64, most: usize) -> Result<Self, PlanError> {
        let summary = plan.summary();
        Ok(Self {
            sync: sync.name.clone(),
            destination: sync.destination.clone(),
            object: sync.prepared.object(),
            counts: summary.counts,
            send: summary.counts.sent(),
            calls,
            forecast: None,
            plan_hash: summary.hash.clone(),
            since: plan
                .header()
                .growing
                .as_ref()
                .map(|Growing { column, from, .. }| Asked { column: column.clone(), from: *from }),
            holds: Vec::new(),
            warnings: Vec::new(),
            samples: samples(sync, plan, most)?,
            notes: Vec::new(),
            steps: None,
        })
    }

    /// For people, or for a comment on a pull request.
    pub(super) fn text(&self, format: Format) -> String {
        let head = format!("{} → {} {}", self.sync, self.destination, self.object);
        let mut facts = vec![sentence(&self.counts)];
        if let Some(Asked { column, from: Some(from) }) = &self.since {
            facts.push(format!("asked for rows since {from} (`{column}`), and for what is not accepted yet"));
        }
        facts.push(match self.send {
            0 => String::from("nothing to send"),
            _ => {
                let forecast = self.forecast.as_ref().map_or_else(String::new, ForecastView::text);
                format!("{} to send{forecast}", plural(self.calls, "call"))
            }
        });
        if self.counts.looked_up > 0 {
            facts.push(format!("{} looked up at the destination", plural(self.counts.looked_up, "value")));
        }
        facts.extend(self.notes.iter().cloned());
        facts.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        let rows: Vec<String> = self.samples.iter().map(row).collect();
        if format == Format::Markdown {
            let mut text = format!("### {head}\n\n- {}", facts.join("\n- "));
            if !rows.is_empty() {
                text.push_str(&format!("\n\n{}", block(&rows.join("\n"), format)));
            }
            return text;
        }
        let mut lines = vec![head];
        lines.extend(facts.into_iter().chain(rows).map(|line| format!("  {line}")));
        lines.extend(self.steps.clone());
        lines.join("\n")
    }
}

/// What the calls of a plan come to under the account's limits.
#[derive(Debug, Serialize)]
struct ForecastView {
    /// The least time that the limits let them take.
    seconds: u64,
    /// The share of the scarcest long window, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_percent: Option<f64>,
    /// That window's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_window_seconds: Option<u64>,
    /// Calls that are left of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_left: Option<u32>,
}

impl ForecastView {
    fn of(forecast: Forecast) -> Self {
        Self {
            seconds: forecast.takes.as_secs_f64().round() as u64,
            quota_percent: forecast.share.map(|share| (share.part * 1000.0).ceil() / 10.0),
            quota_window_seconds: forecast.share.map(|share| share.per.as_secs()),
            quota_left: forecast.share.map(|share| share.left),
        }
    }

    /// `, 6m 12s at your limits, 41 % of today's quota`.
    fn text(&self) -> String {
        let mut text = match self.seconds {
            0 => String::new(),
            seconds => format!(", {} at your limits", duration(Duration::from_secs(seconds))),
        };
        if let (Some(percent), Some(left)) = (self.quota_percent, self.quota_left) {
            let window = match self.quota_window_seconds {
                Some(86_400) => String::from("a day's quota"),
                Some(3600) => String::from("an hour's quota"),
                window => format!("the quota of {}", duration(Duration::from_secs(window.unwrap_or_default()))),
            };
            text.push_str(&format!(", {percent}% of {window} ({} left)", number(u64::from(left))));
        }
        text
    }
}

fn row(sample: &Sample) -> String {
    let mut parts: Vec<String> =
        sample.fields.iter().take(FIELDS).map(|(name, value)| format!("{name}: {value}")).collect();
    if sample.fields.len() > FIELDS {
        parts.push(format!("and {} more", sample.fields.len() - FIELDS));
    }
    parts.extend(sample.cause.map(|cause| cause.as_str().to_owned()));
    if let Some(reason) = &sample.reason {
        let field = reason.field.as_ref().map_or_else(String::new, |field| format!("{field}: "));
        parts.push(format!("{field}{}", reason.code));
    }
    format!("{} {}  {}", sign(sample.kind), sample.key, parts.join(", ")).trim_end().to_owned()
}

fn sign(kind: OpKind) -> char {
    match kind {
        OpKind::Add => '+',
        OpKind::Remove | OpKind::Forget => '−',
        OpKind::Move => '→',
        OpKind::Reject => '✗',
        OpKind::Refresh => '↻',
        OpKind::Change | OpKind::Touch => '~',
    }
}

fn sentence(counts: &PlanCounts) -> String {
    let mut parts = vec![format!("{} compared", plural(counts.rows, "row"))];
    let told = [
        (counts.added, "added"),
        (counts.changed, "changed"),
        (counts.moved, "moved"),
        (counts.removed, "removed"),
        (counts.refreshed, "to send again"),
        (counts.rejected, "refused by the mapping"),
        (counts.withheld, "withheld after a reject"),
        (counts.waiting, "waiting for a record that they refer to"),
        (counts.touched, "touched in no mapped field"),
        (counts.ignored, "changed since they were sent, and left alone"),
        (counts.unchanged, "unchanged"),
        (counts.ineligible.total(), "not to be sent"),
    ];
    let why = |what: &str| match what {
        "removed" => in_brackets(counts.removed_for),
        "not to be sent" => in_brackets(counts.ineligible),
        _ => String::new(),
    };
    let told = told.into_iter().filter(|(n, _)| *n > 0);
    parts.extend(told.map(|(n, what)| format!("{} {what}{}", number(n), why(what))));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use backhaul_kit::http::limit::QuotaShare;
    use serde_json::json;

    use super::super::sample::{Refusal, Shown};
    use super::*;

    fn view() -> PlanView {
        let counts = PlanCounts {
            rows: 20_019,
            added: 30,
            changed: 214,
            removed: 12,
            rejected: 1,
            withheld: 3,
            touched: 71,
            unchanged: 19_700,
            ..PlanCounts::default()
        };
        let sample = |kind, fields: &[&str]| Sample {
            kind,
            key: "1••••".into(),
            fields: fields.iter().map(|name| ((*name).to_owned(), Shown::Plain(json!("x")))).collect(),
            cause: None,
            reason: None,
        };
        let refused = Refusal { code: "INVALID_EMAIL".into(), field: Some("email".into()) };
        PlanView {
            sync: "vip-crm".into(),
            destination: "crm".into(),
            object: "contacts".into(),
            counts,
            send: counts.sent(),
            calls: 1240,
            forecast: Some(ForecastView::of(Forecast {
                takes: Duration::from_secs(372),
                share: Some(QuotaShare { per: Duration::from_secs(86_400), part: 0.4082, left: 2_900 }),
            })),
            plan_hash: "9f2c4a".into(),
            since: None,
            holds: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            steps: None,
            samples: vec![
                sample(OpKind::Change, &["plan"]),
                sample(OpKind::Add, &["city", "plan", "email", "firstname", "lastname", "phone"]),
                sample(OpKind::Remove, &[]),
                Sample { reason: Some(refused), ..sample(OpKind::Reject, &[]) },
            ],
        }
    }

    #[test]
    fn a_person_sees_what_a_run_would_do_and_how_to_start_it() {
        let nothing = PlanView {
            counts: PlanCounts { rows: 8, unchanged: 8, ..PlanCounts::default() },
            send: 0,
            calls: 0,
            forecast: None,
            samples: Vec::new(),
            ..view()
        };
        let hold = Hold { code: "max_removed".into(), text: "12 removals of 40, above max_removed = 20%".into() };
        let warnings = vec!["check not_null: `email` is NULL in 3 of 40 rows, as 1••••".into()];
        let held = PlanView { warnings, samples: Vec::new(), ..view() }.with_holds(vec![hold]);
        let views = [view().with_holds(Vec::new()), nothing.with_holds(Vec::new()), held];
        insta::assert_snapshot!(views.map(|view| view.text(Format::Human)).join("\n\n"));
    }

    #[test]
    fn a_pull_request_gets_the_same_in_markdown() {
        insta::assert_snapshot!(view().text(Format::Markdown));
    }

    #[test]
    fn a_program_sees_counts_hash_and_samples() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&view()).expect("JSON"));
    }
}
