//! `backhaul rejects`: rows that were refused. Keys and vendors' texts are masked unless `--reveal` is given;
//! `export` writes them in full, for it is made to hand them on.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use backhaul_kit::{KeyHash, key};
use jiff::Timestamp;
use serde::Serialize;

use super::screen::{Align, Format, Table, block, json, moment, number, plural, relative};
use super::{Engine, Exit, Failure, Screen, project, select};
use crate::config::Project;
use crate::mask::{mask_key, mask_sentence};
use crate::state::{Reject, RejectClass, RejectCode, Resolution, State};

const EXAMPLES: &str = "\
Examples:
  backhaul rejects                           causes, over all syncs
  backhaul rejects list vip-crm              the rows of one sync, masked
  backhaul rejects show vip-crm 4711         one row, by its key or its reference
  backhaul rejects retry vip-crm --all       try all again on the next run
  backhaul rejects export vip-crm -o bad.jsonl

A refused row comes again by itself: on each of the next three runs, then after 1 h, 2 h … 24 h, and at once when its \
values change.";

/// Rows that were refused: list, retry, settle, export, drop
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List causes, and the rows of a sync
    List {
        /// The sync; default: causes over all syncs
        #[arg(value_name = "SYNC")]
        sync: Option<String>,
        /// At most so many rows
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Show keys in full
        #[arg(long)]
        reveal: bool,
    },
    /// Show one row with the destination's words
    Show {
        #[command(flatten)]
        row: RowArg,
        /// Show key and text in full
        #[arg(long)]
        reveal: bool,
    },
    /// Try rows again on the next run, however often they were refused
    Retry {
        #[command(flatten)]
        rows: RowsArg,
    },
    /// Say what became of rows in doubt
    Resolve {
        #[command(flatten)]
        rows: RowsArg,
        /// written: as it was sent; absent: it is not there; resend: send it again
        #[arg(long = "as", value_name = "FATE", value_enum)]
        fate: Fate,
    },
    /// Write rows in full, for whoever repairs them
    Export {
        /// The sync
        #[arg(value_name = "SYNC")]
        sync: String,
        /// jsonl or csv
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::Jsonl, hide_possible_values = true)]
        format: ExportFormat,
        /// To a new file that only you can read; default: stdout
        #[arg(short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Forget rows; those still in the model are sent by the next run as if never refused
    Drop {
        #[command(flatten)]
        rows: RowsArg,
    },
}

#[derive(Debug, clap::Args)]
struct RowArg {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// The row's key, or its reference in `rejects list`
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Debug, clap::Args)]
struct RowsArg {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// Keys, or references in `rejects list`
    #[arg(value_name = "KEY", required_unless_present = "all", conflicts_with = "all")]
    keys: Vec<String>,
    /// All rows of the sync
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Fate {
    Written,
    Absent,
    Resend,
}

impl From<Fate> for Resolution {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Written => Self::Written,
            Fate::Absent => Self::Absent,
            Fate::Resend => Self::Resend,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ExportFormat {
    Jsonl,
    Csv,
}

pub(super) async fn rejects(
    screen: &Screen,
    engine: &dyn Engine,
    project: &Project,
    args: Args,
) -> Result<Exit, Failure> {
    let Some(state) = project::open_existing_state(engine, project).await? else {
        screen.show(&Listing::default(), |_| String::from(NONE))?;
        return Ok(Exit::Ok);
    };
    let now = Timestamp::now();
    let action = args.action.unwrap_or(Action::List { sync: None, limit: 0, reveal: false });
    match action {
        Action::List { sync, limit, reveal } => {
            let listing = listing(&state, project, sync.as_deref(), limit, reveal).await?;
            screen.show(&listing, |format| list_text(&listing, format, now))?;
        }
        Action::Show { row, reveal } => {
            let found = find(&state, project, &row.sync, &row.key).await?;
            let shown = Shown { rejects: found.iter().map(|reject| RejectView::of(reject, reveal, true)).collect() };
            screen.show(&shown, |format| block(&shown_text(&shown, now), format))?;
        }
        Action::Retry { rows } => {
            let keys = keys(&state, project, &rows).await?;
            let done = state.retry_rejects(&rows.sync, &keys).await?;
            say(screen, "retried", done, &format!("{} due on the next run of {}", plural(done, "row"), rows.sync))?;
        }
        Action::Resolve { rows, fate } => {
            let keys = keys(&state, project, &rows).await?;
            let done = state.resolve_rejects(&rows.sync, &keys, fate.into()).await?;
            if done == 0 {
                return Err(Failure::usage("none of these rows is in doubt")
                    .remedy("refused rows need no settling: `rejects retry` or `rejects drop`"));
            }
            let text = format!("{} settled; the next run of {} acts on it", plural(done, "row"), rows.sync);
            say(screen, "resolved", done, &text)?;
        }
        Action::Export { sync, format, out } => {
            known(&state, project, &sync).await?;
            let rows = state.rejects(Some(&sync), None).await?;
            let bytes = match format {
                ExportFormat::Jsonl => jsonl(&rows)?,
                ExportFormat::Csv => csv(&rows),
            };
            match out {
                None => screen.print_raw(bytes.as_bytes())?,
                Some(path) => {
                    write_private(&path, bytes.as_bytes())?;
                    let text = format!("{} written to {}", plural(rows.len() as u64, "row"), path.display());
                    say(screen, "exported", rows.len() as u64, &text)?;
                }
            }
        }
        Action::Drop { rows } => {
            let keys = keys(&state, project, &rows).await?;
            let done = state.clear_rejects(&rows.sync, &keys).await?;
            say(screen, "dropped", done, &format!("{} forgotten", plural(done, "row")))?;
        }
    }
    Ok(Exit::Ok)
}

const NONE: &str = "no rows are kept: nothing was refused, or everything was accepted since";

/// Says what was done: in words, or as a number by that name.
fn say(screen: &Screen, name: &str, rows: u64, text: &str) -> Result<(), Failure> {
    screen.show(&serde_json::json!({ name: rows }), |_| text.to_owned())
}

/// The sync is in the project, or at least in the state.
async fn known(state: &State, project: &Project, sync: &str) -> Result<(), Failure> {
    if !state.reject_counts().await?.contains_key(sync) {
        select::one(project, sync)?;
    }
    Ok(())
}

async fn find(state: &State, project: &Project, sync: &str, name: &str) -> Result<Vec<Reject>, Failure> {
    known(state, project, sync).await?;
    let found = state.find_rejects(sync, name).await?;
    if found.is_empty() {
        return Err(Failure::usage(format!("no refused row of {sync} has that key or reference"))
            .remedy(format!("see `backhaul rejects list {sync}`")));
    }
    Ok(found)
}

async fn keys(state: &State, project: &Project, rows: &RowsArg) -> Result<Vec<KeyHash>, Failure> {
    if rows.all {
        known(state, project, &rows.sync).await?;
        return Ok(state.rejects(Some(&rows.sync), None).await?.iter().map(|reject| reject.key_hash).collect());
    }
    let mut keys = Vec::new();
    for name in &rows.keys {
        keys.extend(find(state, project, &rows.sync, name).await?.iter().map(|reject| reject.key_hash));
    }
    Ok(keys)
}

/// A kept row as programs see it.
#[derive(Debug, Serialize)]
struct RejectView {
    sync: String,
    reference: String,
    key: String,
    class: RejectClass,
    code: String,
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    attempts: u64,
    #[serde(serialize_with = "json::time")]
    first_seen: Timestamp,
    #[serde(serialize_with = "json::time")]
    last_seen: Timestamp,
    run: String,
    #[serde(serialize_with = "json::some_time")]
    next_at: Option<Timestamp>,
    resolution: Option<Resolution>,
}

impl RejectView {
    fn of(reject: &Reject, reveal: bool, with_text: bool) -> Self {
        let (key, text) = (key::display(&reject.key), &reject.reason.text);
        Self {
            sync: reject.sync.clone(),
            reference: reject.reference(),
            key: if reveal { key } else { mask_key(&key) },
            class: reject.class,
            code: reject.reason.code.clone(),
            field: reject.reason.field.clone(),
            text: with_text.then(|| if reveal { text.clone() } else { mask_sentence(text) }),
            attempts: reject.attempts,
            first_seen: reject.first_seen,
            last_seen: reject.last_seen,
            run: reject.run.clone(),
            next_at: reject.next_at,
            resolution: reject.resolution,
        }
    }

    /// When it is tried again, in words.
    fn next(&self, now: Timestamp) -> String {
        match (self.class, self.resolution, self.next_at) {
            (_, Some(resolution), _) => format!("settled: {}", resolution.as_str()),
            (RejectClass::InDoubt, None, _) => String::from("needs a decision"),
            (_, None, Some(next)) if next > now => relative(next, now),
            _ => String::from("next run"),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Listing {
    causes: Vec<RejectCode>,
    rejects: Vec<RejectView>,
    #[serde(skip)]
    sync: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    rejects: Vec<RejectView>,
}

async fn listing(
    state: &State,
    project: &Project,
    sync: Option<&str>,
    limit: u32,
    reveal: bool,
) -> Result<Listing, Failure> {
    let causes = state.reject_codes(sync).await?;
    let Some(name) = sync else { return Ok(Listing { causes, ..Listing::default() }) };
    if causes.is_empty() {
        select::one(project, name)?;
    }
    let rows = state.rejects(sync, Some(limit)).await?;
    let rejects = rows.iter().map(|reject| RejectView::of(reject, reveal, false)).collect();
    Ok(Listing { causes, rejects, sync: Some(name.to_owned()) })
}

fn list_text(listing: &Listing, format: Format, now: Timestamp) -> String {
    if listing.causes.is_empty() {
        return NONE.into();
    }
    let left = |name| (name, Align::Left);
    let mut causes =
        Table::new(&[left("sync"), left("refused by"), left("code"), left("field"), ("rows", Align::Right)]);
    for cause in &listing.causes {
        causes.row([
            cause.sync.clone(),
            cause.class.as_str().into(),
            cause.code.clone(),
            cause.field.clone().unwrap_or_default(),
            number(cause.rows),
        ]);
    }
    let mut text = causes.render(format);
    let Some(sync) = &listing.sync else {
        text.push_str("\n\n");
        text.push_str(&block("  → the rows: backhaul rejects list SYNC", format));
        return text;
    };
    let mut rows = Table::new(&[
        left("reference"),
        left("key"),
        left("code"),
        left("field"),
        ("attempts", Align::Right),
        left("last"),
        left("next try"),
    ]);
    for reject in &listing.rejects {
        rows.row([
            reject.reference.clone(),
            reject.key.clone(),
            reject.code.clone(),
            reject.field.clone().unwrap_or_default(),
            number(reject.attempts),
            relative(reject.last_seen, now),
            reject.next(now),
        ]);
    }
    text.push_str("\n\n");
    text.push_str(&rows.render(format));
    let more = listing.causes.iter().map(|cause| cause.rows).sum::<u64>().saturating_sub(listing.rejects.len() as u64);
    if more > 0 {
        text.push_str(&format!("\n\n… and {} more (--limit N)", number(more)));
    }
    text.push_str("\n\n");
    text.push_str(&block(&format!("  → one row: backhaul rejects show {sync} REFERENCE"), format));
    text
}

fn shown_text(shown: &Shown, now: Timestamp) -> String {
    let one = |reject: &RejectView| {
        let mut lines = vec![format!("{} of {}: {}", reject.key, reject.sync, reject.code)];
        let mut fact = |name: &str, value: String| lines.push(format!("{name:<12}{value}"));
        fact("reference", reject.reference.clone());
        fact("refused by", reject.class.as_str().into());
        if let Some(field) = &reject.field {
            fact("field", field.clone());
        }
        fact("text", reject.text.clone().unwrap_or_default());
        fact("attempts", number(reject.attempts));
        fact("first", format!("{} ({})", moment(reject.first_seen), relative(reject.first_seen, now)));
        fact("last", format!("{} ({}), run {}", moment(reject.last_seen), relative(reject.last_seen, now), reject.run));
        fact("next try", reject.next(now));
        lines.push(match reject.class {
            RejectClass::InDoubt => {
                let name = format!("{} {}", reject.sync, reject.reference);
                format!("  → say what became of it: backhaul rejects resolve {name} --as written|absent|resend")
            }
            _ => format!("  → try it on the next run: backhaul rejects retry {} {}", reject.sync, reject.reference),
        });
        lines.join("\n")
    };
    shown.rejects.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn jsonl(rows: &[Reject]) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(&RejectView::of(row, true, true))
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot write the rows: {e}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn csv(rows: &[Reject]) -> String {
    let mut text = String::from("key,class,code,field,text,attempts,first_seen,last_seen,run\n");
    for row in rows {
        let cells = [
            key::display(&row.key),
            row.class.as_str().into(),
            row.reason.code.clone(),
            row.reason.field.clone().unwrap_or_default(),
            row.reason.text.clone(),
            row.attempts.to_string(),
            row.first_seen.to_string(),
            row.last_seen.to_string(),
            row.run.clone(),
        ];
        text.push_str(&cells.map(|cell| csv_cell(&cell)).join(","));
        text.push('\n');
    }
    text
}

/// Quoted where needed; a text that a spreadsheet would take for a formula gets an apostrophe in front.
fn csv_cell(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !cell.contains(['"', ',', '\n', '\r']) {
        return cell.to_owned();
    }
    format!("\"{}{}\"", if formula { "'" } else { "" }, cell.replace('"', "\"\""))
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display())))
}

#[cfg(test)]
mod tests;
