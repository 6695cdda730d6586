//! What is wrong in the operator's files, and where.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A file of the project and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the operator knows it, relative to the project.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A place in a file, as byte offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte offsets into its text.
    pub range: Range<usize>,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The project works.
    Warning,
    /// The project cannot be run.
    Error,
}

/// One thing that is wrong in the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code (`unknown-key`), for docs and scripts.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// A word to put at the marker.
    pub label: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// Whether the marked text is (or may hold) a secret and must not be printed.
    pub masked: bool,
}

impl Problem {
    /// An error of `code`.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span: None,
            label: None,
            remedy: None,
            masked: false,
        }
    }

    /// A warning of `code`.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Where it is.
    #[must_use]
    pub fn at(mut self, span: &Span) -> Self {
        self.span = Some(span.clone());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A word at the marker.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The marked text must not be printed.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        self
    }
}

/// A shared list that readers add problems to.
#[derive(Clone, Debug, Default)]
pub struct Problems(Arc<Mutex<Vec<Problem>>>);

impl Problems {
    /// Adds one.
    pub fn push(&self, problem: Problem) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }

    /// Adds an error of `code` at `span`: what is wrong, and what to do about it.
    pub fn refuse(&self, code: &'static str, span: &Span, message: impl Into<String>, remedy: &str) {
        self.push(Problem::error(code, message).at(span).remedy(remedy));
    }

    /// The same of a word that is not known; `near` is one that may be meant.
    pub fn refuse_near(
        &self,
        code: &'static str,
        span: &Span,
        message: impl Into<String>,
        near: Option<&str>,
        remedy: &str,
    ) {
        let problem = Problem::error(code, message).at(span).remedy(remedy);
        self.push(match near {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem,
        });
    }

    /// How many errors there are: compare before and after to learn whether a step failed.
    pub fn errors(&self) -> usize {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().filter(|p| p.severity == Severity::Error).count()
    }

    /// Takes all of them, in the order they were found.
    pub fn take(&self) -> Vec<Problem> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
