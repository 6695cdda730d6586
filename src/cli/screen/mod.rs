//! Output: data on stdout, everything else on stderr.

pub(super) mod json;
mod log;
mod progress;
mod table;
mod words;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Exit, Failure};

pub use progress::Progress;
pub use table::{Align, Table};
pub use words::{duration, moment, number, percent, plural, relative};

/// The version of JSON output; it changes when something is renamed or removed.
pub const JSON_VERSION: u32 = 1;

/// The form of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people at a terminal.
    #[default]
    Human,
    /// For programs.
    Json,
    /// For comments on pull requests.
    Markdown,
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Well: green.
    Good,
    /// Worth a look: yellow.
    Warn,
    /// Wrong: red.
    Bad,
    /// Beside the point: dim.
    Quiet,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
            Self::Quiet => "2",
        }
    }
}

/// Where a command's output goes, and in which form.
#[derive(Debug)]
pub struct Screen {
    format: Format,
    verbose: u8,
    quiet: bool,
    stdout_color: bool,
    stderr_color: bool,
    bars: MultiProgress,
}

impl Screen {
    /// The process's stdout and stderr.
    pub fn new(format: Format, verbose: u8, quiet: bool, no_color: bool) -> Self {
        let plain = no_color
            || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self {
            format,
            verbose,
            quiet,
            stdout_color: !plain && format == Format::Human && io::stdout().is_terminal(),
            stderr_color: !plain && io::stderr().is_terminal(),
            bars: MultiProgress::new(),
        }
    }

    /// The form that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether stdout takes colours.
    pub fn stdout_color(&self) -> bool {
        self.stdout_color
    }

    /// Whether stderr takes colours.
    pub fn stderr_color(&self) -> bool {
        self.stderr_color
    }

    /// `text` in a colour, where stdout takes colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.stdout_color, tone, text)
    }

    /// Writes data to stdout, with a line break at its end. A reader that went away is no error.
    ///
    /// # Errors
    /// stdout cannot take it: a full disk, say.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        self.write(text.strip_suffix('\n').unwrap_or(text).as_bytes(), b"\n")
    }

    /// Writes bytes to stdout as they are.
    ///
    /// # Errors
    /// As [`Screen::print`].
    pub fn print_raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(bytes, b"")
    }

    fn write(&self, bytes: &[u8], end: &[u8]) -> Result<(), Failure> {
        let written = self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.write_all(end)?;
            out.flush()
        });
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Failed, format!("cannot write the output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a JSON object to stdout, with its `version`.
    ///
    /// # Errors
    /// As [`Screen::print`].
    pub fn json<T: Serialize>(&self, body: &T) -> Result<(), Failure> {
        self.print(&versioned(body)?)
    }

    /// Shows something in the form that was asked for: `body` as JSON, else the text that `text` makes for people or
    /// in Markdown.
    ///
    /// # Errors
    /// As [`Screen::print`].
    pub fn show<T: Serialize>(&self, body: &T, text: impl FnOnce(Format) -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(body),
            format => self.print(&text(format)),
        }
    }

    /// Tells a person something on stderr: what happens, what to do next. Not with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.stderr(text);
        }
    }

    /// Warns on stderr.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.stderr(&format!("{}: {text}", paint(self.stderr_color, Tone::Warn, "warning")));
        }
    }

    /// Says on stderr what is wrong, with `--quiet` too.
    pub fn complain(&self, text: &str) {
        self.stderr(text);
    }

    /// Says why a command failed: on stderr, and on stdout where JSON was asked for.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        self.complain_of(failure);
        if self.format == Format::Json
            && let Err(second) = self.json(&serde_json::json!({ "error": failure }))
        {
            self.stderr(&second.message);
        }
    }

    /// Says on stderr what failed and what to do about it, with `--quiet` too.
    pub fn complain_of(&self, failure: &Failure) {
        let mut text = format!("{}: {}", paint(self.stderr_color, Tone::Bad, "error"), failure.message);
        if let Some(remedy) = &failure.remedy {
            text.push_str("\n  → ");
            text.push_str(remedy);
        }
        self.stderr(&text);
    }

    fn stderr(&self, text: &str) {
        self.bars.suspend(|| {
            // Nobody is left to tell when stderr is gone.
            writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
        });
    }

    /// Starts logging to stderr. A `service` says what it does; a command only what is wrong.
    pub fn log(&self, service: bool) {
        log::start(self.bars.clone(), self.verbose, self.quiet, service, self.stderr_color);
    }

    /// A progress bar on stderr; it is drawn only on a terminal, for people.
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        let shown = !self.quiet && self.format == Format::Human && io::stderr().is_terminal();
        Progress::new(shown.then_some(&self.bars), label, total)
    }
}

/// Text whose lines must stay as they are; in Markdown that takes a code block.
pub fn block(text: &str, format: Format) -> String {
    if format == Format::Markdown { format!("```\n{text}\n```") } else { text.to_owned() }
}

fn paint(color: bool, tone: Tone, text: &str) -> String {
    if color { format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code()) } else { text.to_owned() }
}

/// `body` as pretty JSON with `version`.
fn versioned<T: Serialize>(body: &T) -> Result<String, Failure> {
    let failed = |e: serde_json::Error| Failure::new(Exit::Failed, format!("cannot write the output: {e}"));
    let mut object = Map::new();
    object.insert(String::from("version"), serde_json::json!(JSON_VERSION));
    match serde_json::to_value(body).map_err(failed)? {
        Value::Object(body) => object.extend(body),
        other => {
            object.insert(String::from("value"), other);
        }
    }
    serde_json::to_string_pretty(&object).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_output_says_its_version() {
        let text = versioned(&serde_json::json!({ "runs": [] })).expect("JSON");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value, serde_json::json!({ "version": 1, "runs": [] }));
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert_eq!(paint(false, Tone::Bad, "x"), "x");
        assert_eq!(paint(true, Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
