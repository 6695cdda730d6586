//! Which files a model is made of: `customers/*.parquet`.

use std::fmt;

use backhaul_kit::Fault;

/// How a file is read; its ending says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    const ENDINGS: [(&str, Self); 4] =
        [(".parquet", Self::Parquet), (".csv", Self::Csv), (".jsonl", Self::JsonLines), (".ndjson", Self::JsonLines)];

    /// By the ending of a name, whatever its case.
    fn of(name: &str) -> Option<Self> {
        let ends_with = |ending: &str| {
            let start = name.len().checked_sub(ending.len()).filter(|start| *start > 0);
            start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        Self::ENDINGS.iter().find(|(ending, _)| ends_with(ending)).map(|(_, format)| *format)
    }
}

/// One name of a pattern, or any number of folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `**`.
    Folders,
    /// A name without wildcards.
    Name(String),
    /// A name with `*` and `?`.
    Like(String),
}

impl Part {
    /// Whether this is a name of that kind. What begins with `.` or `_` is hidden from wildcards: unfinished and
    /// auxiliary files are called so (`_temporary`, `_SUCCESS`, `.part-0.crc`).
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Folders => !is_hidden(name),
            Self::Name(own) => own == name,
            Self::Like(pattern) => (is_hidden(pattern) || !is_hidden(name)) && like(pattern, name),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Whether `name` is like `pattern`: after a mismatch the last `*` takes one character more.
fn like(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut star = None;
    loop {
        let before = (pattern.clone(), name.clone());
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), before.1.clone()));
                name = before.1;
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let Some((after_star, from)) = &mut star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, name) = (after_star.clone(), from.clone());
            }
        }
    }
}

/// A pattern of files below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    parts: Vec<Part>,
    format: Format,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Config` where it is none, or leads out of the folder.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let refuse = |what: &str| {
            Fault::config(format!("`files` {what}")).remedy(
                "write a path below the warehouse's `root`, as \"customers/*.parquet\" or \"events/**/*.jsonl\"",
            )
        };
        if text.starts_with('/') {
            return Err(refuse("must be a path below the warehouse's `root`"));
        }
        let mut parts = Vec::new();
        for part in text.split('/') {
            parts.push(match part {
                "" | "." => return Err(refuse("has a name that is empty or `.`")),
                ".." => return Err(refuse("must not lead out by `..`")),
                "**" if parts.last() == Some(&Part::Folders) => continue,
                "**" => Part::Folders,
                _ if part.contains("**") => {
                    return Err(refuse("has `**` inside of a name: it stands for whole folders"));
                }
                _ if part.contains(['[', ']', '{', '}', '\\', '\0']) => {
                    return Err(refuse("knows `*`, `?` and `**` only; write `?` for a bracket in a name"));
                }
                _ if part.contains(['*', '?']) => Part::Like(part.to_owned()),
                _ => Part::Name(part.to_owned()),
            });
        }
        let format = match parts.last() {
            Some(Part::Name(name) | Part::Like(name)) => Format::of(name),
            _ => None,
        };
        let Some(format) = format else {
            let endings: Vec<&str> = Format::ENDINGS.iter().map(|(ending, _)| *ending).collect();
            return Err(refuse(&format!("must end in one of {}, which says how to read them", endings.join(", "))));
        };
        Ok(Self { text: text.to_owned(), parts, format })
    }

    /// How the files are read.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The names, outermost first.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The folder that all files lie in: the names before the first wildcard.
    pub(super) fn folder(&self) -> impl Iterator<Item = &str> {
        let folders = &self.parts[..self.parts.len().saturating_sub(1)];
        folders.iter().map_while(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Folders | Part::Like(_) => None,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        Pattern::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn patterns_are_read_or_refused_with_the_reason() {
        let pattern = Pattern::parse("customers/**/**/part-*.PARQUET").expect("a pattern");
        let name = |name: &str| Part::Name(name.into());
        assert_eq!(pattern.parts(), [name("customers"), Part::Folders, Part::Like("part-*.PARQUET".into())]);
        assert_eq!(pattern.format(), Format::Parquet);
        assert_eq!(Pattern::parse("a.ndjson").expect("a pattern").format(), Format::JsonLines);
        for (text, reason) in [
            ("/etc/*.csv", "below the warehouse's `root`"),
            ("../*.csv", "`..`"),
            ("a/../b.csv", "`..`"),
            ("a//b.csv", "empty"),
            ("./b.csv", "empty or `.`"),
            ("a**/b.csv", "inside of a name"),
            ("[ab].csv", "`*`, `?` and `**` only"),
            ("{a,b}.csv", "`*`, `?` and `**` only"),
            ("a/*", "must end in one of .parquet, .csv, .jsonl, .ndjson"),
            ("a/**", "must end in one of"),
            ("a/.csv", "must end in one of"),
            ("a/b.csv.gz", "must end in one of"),
            ("a/b.c?v", "must end in one of"),
        ] {
            assert!(refused(text).contains(reason), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn the_folder_is_what_stands_before_the_first_wildcard() {
        let folder = |text: &str| Pattern::parse(text).expect(text).folder().collect::<Vec<_>>().join("/");
        assert_eq!(folder("a/b/*.csv"), "a/b");
        assert_eq!(folder("a/*/b/c.csv"), "a");
        assert_eq!(folder("**/c.csv"), "");
        assert_eq!(folder("c.csv"), "");
    }

    #[test]
    fn wildcards_pass_by_what_is_hidden() {
        let like = |pattern: &str, name: &str| Part::Like(pattern.into()).matches(name);
        assert!(like("*.csv", "a.csv"));
        assert!(!like("*.csv", "_a.csv"));
        assert!(!like("?a.csv", ".a.csv"));
        assert!(like("_*.csv", "_a.csv"));
        assert!(Part::Name("_a.csv".into()).matches("_a.csv"));
        assert!(!Part::Folders.matches("_temporary"));
        assert!(Part::Folders.matches("country=DE"));
    }

    /// The definition, as a recursion that is slow where there are many stars.
    fn like_by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=name.len()).any(|taken| like_by_definition(rest, &name[taken..])),
            (Some((wanted, pattern)), Some((found, name))) => {
                (*wanted == '?' || wanted == found) && like_by_definition(pattern, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn names_are_like_a_pattern_by_its_definition(pattern in "[ab*?]{0,7}", name in "[abü]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &name), like_by_definition(&chars(&pattern), &chars(&name)));
        }
    }
}
