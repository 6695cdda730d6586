//! Problems for people (with the line, a marker and a remedy) and for programs (JSON).
//!
//! A printed line could hold a secret that somebody wrote where a reference belongs, on the marked place or
//! beside it. So a masked problem's lines lose all values, and in `backhaul.toml`, where the secrets are,
//! every other line loses its strings except for the marked one.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use backhaul_kit::config::{Problem, Severity, Span};

/// What stands for a value that is not shown.
const BLANK: &str = "••••";
/// The file whose tables hold secrets.
const SECRETS_FILE: &str = "backhaul.toml";

/// The problems as text for people, one after the other, with colours where `color`.
pub fn render(problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[report(problem, problems)]));
        out.push('\n');
    }
    out
}

/// The problems as a JSON array: `code`, `severity`, `message`, and where known `file`, `line`, `column`,
/// `label`, `remedy`. Lines of files are not part of it.
pub fn problems_json(problems: &[Problem]) -> serde_json::Value {
    problems
        .iter()
        .map(|problem| {
            let place = problem.span.as_ref().map(|span| (span.file.path.display().to_string(), line_column(span)));
            serde_json::json!({
                "code": problem.code,
                "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "message": problem.message,
                "file": place.as_ref().map(|(file, _)| file),
                "line": place.as_ref().map(|(_, (line, _))| line),
                "column": place.as_ref().map(|(_, (_, column))| column),
                "label": problem.label,
                "remedy": problem.remedy,
            })
        })
        .collect()
}

/// Line and column of a span's start, both from 1; columns count characters.
pub(super) fn line_column(span: &Span) -> (usize, usize) {
    let start = span.range.start.min(span.file.text.len());
    let before = span.file.text.get(..start).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn report<'a>(problem: &'a Problem, all: &[Problem]) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.code);
    let mut group = Group::with_title(title);
    if let Some(span) = &problem.span {
        let excerpt = Excerpt::of(problem, span, all);
        let label = problem.label.as_deref();
        group = group.element(
            Snippet::source(excerpt.text)
                .line_start(excerpt.line)
                .path(span.file.path.display().to_string())
                .annotation(AnnotationKind::Primary.span(excerpt.marked).label(label)),
        );
    }
    if let Some(remedy) = &problem.remedy {
        group = group.element(Level::HELP.message(remedy.as_str()));
    }
    group
}

/// The line that a problem starts on, fit to be shown.
struct Excerpt {
    text: String,
    line: usize,
    /// The marked place in `text`.
    marked: Range<usize>,
}

impl Excerpt {
    fn of(problem: &Problem, span: &Span, all: &[Problem]) -> Self {
        let text = span.file.text.as_str();
        let start = floor(text, span.range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let raw = text[line_start..line_end].trim_end_matches('\r');
        let marked_end = floor(text, span.range.end).clamp(start, line_start + raw.len());
        let marked = start - line_start..marked_end - line_start;
        let line = text[..line_start].matches('\n').count() + 1;

        let secret = all
            .iter()
            .filter(|other| other.masked)
            .filter_map(|other| other.span.as_ref())
            .any(|other| other.file == span.file && other.range.start <= line_end && line_start <= other.range.end);
        let hidden = if secret {
            let continued = all.iter().any(|other| other.masked && goes_on_into(other, span, line_start));
            let value = if continued { Some(0) } else { start_of_value(raw) };
            value.map(|value| value..raw.len()).into_iter().collect()
        } else {
            let mut hidden = Vec::new();
            // The value of a key that nobody knows may be a secret under a misspelt name.
            if problem.code == "unknown-key" {
                hidden.extend(value_after(raw, marked.end));
            }
            if holds_secrets(span, line_start) {
                let shown = problem.code != "wrong-type";
                hidden.extend(strings(raw).into_iter().filter(|string| !(shown && *string == marked)));
            }
            hidden.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
            hidden
        };
        let (shown, marked) = blank(raw, &hidden, marked);
        Self { text: shown, line, marked }
    }
}

/// Whether the line may stand in a table that has secrets: any of `backhaul.toml` that is not known to have none.
fn holds_secrets(span: &Span, line_start: usize) -> bool {
    let before = span.file.text.get(..line_start).unwrap_or_default();
    let header = before.lines().rev().find(|line| line.starts_with('[')).unwrap_or_default();
    let harmless = ["[mappings", "[defaults"].iter().any(|table| header.starts_with(table));
    span.file.path.as_os_str() == SECRETS_FILE && !harmless
}

/// The value of the key that ends at `key_end`.
fn value_after(line: &str, key_end: usize) -> Option<Range<usize>> {
    let sign = key_end + line[key_end..].find('=')?;
    let value = &line[sign + 1..];
    let start = line.len() - value.trim_start().len();
    let end = match value.trim_start().chars().next()? {
        '"' | '\'' => strings(&line[start..]).first().map_or(line.len(), |string| start + string.end),
        '{' | '[' => line.len(),
        _ => line[start..].find([',', '}', ' ', '#']).map_or(line.len(), |i| start + i),
    };
    Some(start..end)
}

/// Whether a masked problem of the same file starts on an earlier line and reaches this one: a line inside of
/// a text over several lines is all value.
fn goes_on_into(other: &Problem, span: &Span, line_start: usize) -> bool {
    other
        .span
        .as_ref()
        .is_some_and(|other| other.file == span.file && other.range.start < line_start && line_start < other.range.end)
}

/// Where a line's values start: after the first `=` that follows a key; the header of a table has none. What
/// does not look like either is all value.
fn start_of_value(line: &str) -> Option<usize> {
    let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '\t' | '"' | '\'');
    let trimmed = line.trim_start();
    if trimmed.starts_with('[')
        && trimmed.trim_end().trim_matches(['[', ']']).chars().all(key)
        && !trimmed.contains(['=', ','])
    {
        return None;
    }
    let after_key = line.find(|c| !key(c)).unwrap_or(line.len());
    let rest = &line[after_key..];
    let value = rest.strip_prefix('=').filter(|value| !value.starts_with('=') && !value.trim().is_empty());
    match value {
        // A space before the sign tells a key from the padding of base64.
        Some(value) => Some(line.len() - value.trim_start().len()),
        None if rest.trim() == "=" && line[..after_key].ends_with(' ') => None,
        None => Some(line.len() - trimmed.len()),
    }
}

/// The string literals of a line.
fn strings(line: &str) -> Vec<Range<usize>> {
    let mut strings = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        match open {
            Some((_, '"')) if escaped => escaped = false,
            Some((_, '"')) if c == '\\' => escaped = true,
            Some((start, quote)) if c == quote => {
                strings.push(start..i + 1);
                open = None;
            }
            None if c == '"' || c == '\'' => open = Some((i, c)),
            None if c == '#' => {
                strings.push(i..line.len());
                return strings;
            }
            _ => {}
        }
    }
    // One that is not closed on this line goes on to its end.
    strings.extend(open.map(|(start, _)| start..line.len()));
    strings
}

/// Puts [`BLANK`] in place of the hidden ranges (sorted; one inside of another is part of it) and moves the marker along.
fn blank(line: &str, hidden: &[Range<usize>], marked: Range<usize>) -> (String, Range<usize>) {
    let mut shown = String::new();
    let mut moved = marked.clone();
    let mut copied = 0;
    for range in hidden {
        if range.is_empty() || range.start < copied {
            continue;
        }
        shown.push_str(&line[copied..range.start]);
        let at = shown.len();
        shown.push_str(BLANK);
        for (end, place) in [(&mut moved.start, marked.start), (&mut moved.end, marked.end)] {
            if place >= range.end {
                *end = shown.len() + (place - range.end);
            } else if place >= range.start {
                *end = at;
            }
        }
        // A marker that ends inside of the blank covers it.
        if marked.end > range.start && marked.end <= range.end {
            moved.end = shown.len();
        }
        copied = range.end;
    }
    shown.push_str(&line[copied..]);
    let moved = floor(&shown, moved.start)..floor(&shown, moved.end.max(moved.start));
    (shown, moved)
}

/// The nearest place at or before `at` that is between characters.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
