//! What a run came to, for whoever started it.

use crate::cli::runs::{RunView, held_steps, rejects_step, warnings};
use crate::cli::screen::{Tone, block, number, plural};
use crate::cli::{Exit, FailOn, Screen};
use crate::state::RunStatus;

/// The exit of one run; `--fail-on` forgives rejects below its limit.
pub(super) fn exit_of(run: &RunView, fail_on: Option<FailOn>) -> Exit {
    // A run that waits for jobs has an exit code of its own: it was not called off.
    if !run.terminal && run.status != RunStatus::Held && run.exit.is_none() {
        return Exit::Interrupted;
    }
    let exit = Exit::from_code(run.exit.unwrap_or(0));
    let sent = run.counts.accepted + run.counts.rejected;
    if exit == Exit::Rejected && fail_on.is_some_and(|limit| !limit.is_exceeded(run.counts.rejected, sent)) {
        return Exit::Ok;
    }
    exit
}

/// One line on a run, and more where something is to be done.
pub(super) fn text(screen: &Screen, run: &RunView) -> String {
    let tone = match run.status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        _ => Tone::Warn,
    };
    let mut lines = vec![format!(
        "{}  {}  {} compared, {}, {}",
        run.sync,
        screen.paint(tone, run.status.as_str()),
        plural(run.counts.rows, "row"),
        fates(run),
        plural(run.calls, "call"),
    )];
    if run.status == RunStatus::Held || run.counts.held_back > 0 {
        lines.extend(run.held_reasons.iter().map(|reason| format!("  {reason}")));
    }
    if run.status == RunStatus::Held {
        lines.push(held_steps(run));
    }
    lines.extend(warnings(run).map(|warning| format!("  {warning}")));
    if let Some(error) = &run.error {
        lines.push(format!("  {}", error.message));
        lines.extend(error.remedy.iter().map(|remedy| format!("  → {remedy}")));
    }
    if run.counts.rejected > 0 {
        lines.push(rejects_step(&run.sync));
    }
    block(&lines.join("\n"), screen.format())
}

/// What became of the rows that were to be sent.
fn fates(run: &RunView) -> String {
    let counts = &run.counts;
    let fates = [
        (counts.accepted, "accepted"),
        (counts.rejected, "rejected"),
        (counts.deferred, "deferred"),
        (counts.in_doubt, "in doubt"),
        (counts.held_back, "held back"),
        (counts.withheld, "withheld"),
        (counts.vetoed, "not to be sent any more"),
        (counts.waiting, "waiting"),
    ];
    let told: Vec<String> =
        fates.into_iter().filter(|(n, _)| *n > 0).map(|(n, fate)| format!("{} {fate}", number(n))).collect();
    match run.status {
        RunStatus::Held if counts.accepted + counts.rejected == 0 => String::from("nothing sent"),
        _ if !told.is_empty() => told.join(", "),
        RunStatus::Succeeded => String::from("nothing to send"),
        status if !status.terminal() => String::from("not finished"),
        _ => String::from("nothing sent"),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Format;
    use crate::cli::runs::tests::view;
    use crate::state::RunCounts;

    use super::*;

    fn shown(run: &RunView, format: Format) -> String {
        text(&Screen::new(format, 0, false, true), run)
    }

    #[test]
    fn a_run_is_told_in_a_line_with_what_to_do_next() {
        let mut quiet = view("succeeded");
        quiet.counts = RunCounts { rows: 20_000, unchanged: 20_000, ..RunCounts::default() };
        quiet.calls = 0;
        let runs = [view("partial"), view("held"), view("failed"), quiet];
        insta::assert_snapshot!(runs.map(|run| shown(&run, Format::Human)).join("\n"));
    }

    #[test]
    fn markdown_keeps_its_lines() {
        let text = shown(&view("partial"), Format::Markdown);
        assert!(text.starts_with("```\nvip-crm  partial") && text.ends_with("rejects list vip-crm\n```"), "{text}");
    }

    #[test]
    fn the_exit_is_that_of_the_run_unless_few_rejects_are_forgiven() {
        assert_eq!(exit_of(&view("partial"), None), Exit::Rejected);
        assert_eq!(exit_of(&view("partial"), Some(FailOn::Rows(3))), Exit::Ok);
        assert_eq!(exit_of(&view("partial"), Some(FailOn::Rows(2))), Exit::Rejected);
        assert_eq!(exit_of(&view("failed"), Some(FailOn::Share(1.0))), Exit::Credentials);
        assert_eq!(exit_of(&view("delivering"), None), Exit::Interrupted);
    }
}
