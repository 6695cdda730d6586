//! The command line as a whole: help texts, usage errors, and commands over a small engine.

mod documents;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::config::Problem;
use clap::CommandFactory as _;

use super::*;
use crate::config::{Project, SyncDef};
use crate::run::Examined;
use crate::state::Sealer;

/// Knows no project; what needs one must not get that far.
struct NoProject;

#[async_trait]
impl Engine for NoProject {
    fn load(&self, _: &Path) -> Result<Project, Vec<Problem>> {
        Err(vec![Problem::error("syntax", "a broken file")])
    }

    fn render(&self, problems: &[Problem], _: bool) -> String {
        problems.iter().map(|p| p.message.clone()).collect()
    }

    fn problems_json(&self, problems: &[Problem]) -> serde_json::Value {
        problems.iter().map(|p| p.code).collect()
    }

    fn schema(&self, file: SchemaFile) -> serde_json::Value {
        serde_json::json!({ "title": format!("{file:?}") })
    }

    fn create_key(&self, path: &Path) -> Result<(), Failure> {
        std::fs::write(path, "key").map_err(|e| Failure::new(Exit::Failed, e.to_string()))
    }

    fn sealer(&self, _: &Project) -> Result<Arc<dyn Sealer>, Failure> {
        unreachable!("there is no project")
    }

    async fn check(&self, _: &Project) -> Vec<Check> {
        unreachable!("there is no project")
    }

    async fn doctor(&self, _: &Project, _: &[Arc<SyncDef>]) -> Vec<Examined> {
        unreachable!("there is no project")
    }

    fn egress(&self, _: &Project, _: &[Arc<SyncDef>]) -> Result<Vec<(String, String)>, Failure> {
        unreachable!("there is no project")
    }

    async fn plan(&self, _: &Screen, _: Project, _: Vec<Arc<SyncDef>>, _: PlanArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn show_plan(&self, _: &Screen, _: Project, _: ShowPlanArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn replan(&self, _: &Screen, _: Project, _: ReplanArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn run(&self, _: &Screen, _: Project, _: Vec<Arc<SyncDef>>, _: RunArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn approve(&self, _: &Screen, _: Project, _: ApproveArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn discard(&self, _: &Screen, _: Project, _: DiscardArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn state(&self, _: &Screen, _: Project, _: StateArgs) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn serve(&self, _: &Screen, _: Project) -> Result<Exit, Failure> {
        unreachable!("there is no project")
    }

    async fn demo(&self, _: &Screen, _: DemoArgs) -> Result<Exit, Failure> {
        Err(Failure::new(Exit::Held, "as it was told to"))
    }
}

async fn exit_of(args: &[&str]) -> Exit {
    let args = ["backhaul"].iter().chain(args).map(OsString::from);
    main(args, &NoProject).await
}

/// What `--help` prints in a terminal of 100 columns.
fn help(path: &[&str]) -> String {
    let words = ["backhaul"].iter().chain(path).chain(&["--help"]);
    Cli::command().term_width(100).try_get_matches_from(words).expect_err("help").to_string()
}

#[test]
fn the_commands_are_defined_without_contradiction() {
    Cli::command().debug_assert();
}

#[test]
fn help_tells_what_a_newcomer_needs() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut all = String::new();
    let names: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in &names {
        let text = help(&[name]);
        assert!(text.contains("Example"), "{name} has no example");
        // The global options are the same everywhere.
        let (own, global) = text.split_once("\nGlobal options:\n").expect("global options");
        let after = global.split_once("\n\n").map_or("", |(_, after)| after);
        all.push_str(&format!("──── {name}\n{}\n\n{}\n\n", own.trim_end(), after.trim()));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn wrong_words_are_usage_errors_and_help_is_not() {
    assert_eq!(exit_of(&["frobnicate"]).await, Exit::Usage);
    assert_eq!(exit_of(&["run"]).await, Exit::Usage);
    assert_eq!(exit_of(&["run", "a", "--fail-on", "rejects>x"]).await, Exit::Usage);
    assert_eq!(exit_of(&["rejects", "drop", "a"]).await, Exit::Usage);
    assert_eq!(exit_of(&["state", "rebuild"]).await, Exit::Usage);
    assert_eq!(exit_of(&["rejects", "drop", "a", "1", "--all"]).await, Exit::Usage);
    assert_eq!(exit_of(&["connectors", "show", "no-such-thing"]).await, Exit::Usage);
    assert_eq!(exit_of(&["sandbox", "no-such-thing"]).await, Exit::Usage);
    assert_eq!(exit_of(&["--version"]).await, Exit::Ok);
    assert_eq!(exit_of(&["runs", "--help"]).await, Exit::Ok);
    assert_eq!(exit_of(&["completions", "bash"]).await, Exit::Ok);
    assert_eq!(exit_of(&["connectors"]).await, Exit::Ok);
    assert_eq!(exit_of(&["schema", "sync"]).await, Exit::Ok);
}

#[tokio::test]
async fn a_command_ends_with_the_exit_code_of_its_failure() {
    assert_eq!(exit_of(&["demo"]).await, Exit::Held);
}

#[tokio::test]
async fn a_project_that_does_not_load_is_a_configuration_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().to_str().expect("text");
    assert_eq!(exit_of(&["status", "--config", path]).await, Exit::Config);
    std::fs::write(dir.path().join("backhaul.toml"), "version = 1\n").expect("written");
    for command in ["status", "ls", "runs", "rejects", "serve", "validate"] {
        assert_eq!(exit_of(&[command, "--config", path]).await, Exit::Config, "{command}");
        assert_eq!(exit_of(&[command, "--config", path, "--output", "json"]).await, Exit::Config, "{command}");
    }
    assert_eq!(exit_of(&["plan", "x", "--config", path]).await, Exit::Config);
}

#[tokio::test]
async fn init_makes_a_project_once_and_overwrites_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let root = dir.path().join("crm");
    let path = root.to_str().expect("text");
    std::fs::create_dir_all(&root).expect("made");
    std::fs::write(root.join(".gitignore"), "mine\n").expect("written");
    assert_eq!(exit_of(&["init", path]).await, Exit::Ok);
    for name in ["backhaul.toml", "models/customers.toml", "syncs/customers.toml", "example.db", ".backhaul/key"] {
        assert!(root.join(name).is_file(), "{name}");
    }
    assert!(root.join(".backhaul/schema/sync.json").is_file());
    assert_eq!(std::fs::read_to_string(root.join(".gitignore")).expect("text"), "mine\n");
    std::fs::write(root.join("backhaul.toml"), "changed").expect("written");
    assert_eq!(exit_of(&["init", path]).await, Exit::Usage);
    assert_eq!(std::fs::read_to_string(root.join("backhaul.toml")).expect("text"), "changed");
}

#[test]
fn every_file_of_the_example_names_its_schema_and_is_toml() {
    for text in [include_str!("init/backhaul.toml"), include_str!("init/model.toml"), include_str!("init/sync.toml")] {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("#:schema ") && first.contains(schema::FOLDER), "{first}");
        text.parse::<toml::Table>().expect("TOML");
    }
}
