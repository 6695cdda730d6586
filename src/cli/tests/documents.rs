//! The commands in the documents and help texts are ones that this program takes.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use super::super::Cli;

/// The commands that a text shows on lines of their own.
fn commands(text: &str) -> Vec<Vec<String>> {
    text.lines().filter_map(command).collect()
}

/// The lines of a Markdown text that stand in its code blocks: a line of prose may begin with the program's name.
fn code(markdown: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The words of a line that is a command, from `backhaul` to where a comment, a pipe or another command begins.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start().trim_start_matches("$ ").trim_start_matches("→ ");
    let line = match line.strip_prefix("cargo run ") {
        // What cargo takes ends at `--`; without it, cargo runs something else.
        Some(rest) if !rest.contains("--example") => format!("backhaul {}", rest.split_once("-- ")?.1),
        Some(_) => return None,
        None => line.to_owned(),
    };
    if !line.starts_with("backhaul ") || line.starts_with("backhaul demo   sandbox") {
        return None;
    }
    // Two spaces or more part a command from what is said about it.
    let line = line.split("   ").next().unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default();
    let words = words(line);
    let end = words.iter().position(|word| matches!(word.as_str(), "&" | "&&" | "|" | ">" | ";"));
    Some(words[..end.unwrap_or(words.len())].to_vec())
}

/// As a shell parts them; single quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The Markdown files of the repository that people read.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                let hidden = name.to_string_lossy().starts_with('.');
                if !hidden && name != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

fn assert_taken(source: &str, commands: &[Vec<String>]) {
    for words in commands {
        if let Err(error) = Cli::try_parse_from(words) {
            assert!(!error.use_stderr(), "{source}: `{}` is no command:\n{error}", words.join(" "));
        }
    }
}

#[test]
fn commands_in_the_documents_are_spelled_right() {
    let mut count = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let commands = commands(&code(&text));
        assert_taken(&document.display().to_string(), &commands);
        count += commands.len();
    }
    assert!(count > 10, "{count} commands were found");
}

#[test]
fn commands_in_the_help_texts_are_spelled_right() {
    let names: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in &names {
        let help = super::help(&[name]);
        let (_, examples) = help.split_once("\nExample").unwrap_or_default();
        let commands = commands(examples);
        assert!(!commands.is_empty(), "{name} has no example that is a command");
        assert_taken(&format!("backhaul {name} --help"), &commands);
    }
}

#[test]
fn a_command_is_told_from_what_is_around_it() {
    let text = "Text.\n  backhaul run a --fail-on 'rejects>1%'   up to 1 %\nbackhaul sandbox x &\ncargo run --release -- demo # see";
    let found: Vec<String> = commands(text).iter().map(|words| words.join(" ")).collect();
    assert_eq!(found, ["backhaul run a --fail-on rejects>1%", "backhaul sandbox x", "backhaul demo"]);
    assert!(Cli::try_parse_from(["backhaul", "rnu", "a"]).is_err());
}
