//! Finding and loading the project, opening its state.

use std::path::{Path, PathBuf};

use backhaul_kit::config::Severity;
use serde_json::json;

use super::{Engine, Exit, Failure, Format, Screen};
use crate::config::Project;
use crate::state::State;

/// The file that makes a folder a project.
pub const FILE: &str = "backhaul.toml";

/// The project's folder: `config` (the folder, or its `backhaul.toml`), else the nearest folder with one, upwards
/// from here.
///
/// # Errors
/// There is none.
pub fn find(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot tell the current folder: {e}")))?;
    find_from(&here, config)
}

fn find_from(here: &Path, config: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(config) = config {
        let path = here.join(config);
        if path.join(FILE).is_file() {
            return Ok(path);
        }
        return match path.parent() {
            Some(folder) if path.is_file() && path.file_name().is_some_and(|name| name == FILE) => {
                Ok(folder.to_owned())
            }
            _ => Err(Failure::new(Exit::Config, format!("{} is no project", config.display()))
                .remedy(format!("name a folder that has a {FILE}, or that file"))),
        };
    }
    here.ancestors().find(|folder| folder.join(FILE).is_file()).map(Path::to_owned).ok_or_else(|| {
        Failure::new(Exit::Config, format!("there is no {FILE} here or in a folder above"))
            .remedy("make a project with `backhaul init`, or name one with `--config PATH`")
    })
}

/// Loads the project; its warnings are shown where somebody reads them.
///
/// # Errors
/// No project, or one with problems: they were shown.
pub fn load(screen: &Screen, engine: &dyn Engine, config: Option<&Path>) -> Result<Project, Failure> {
    let root = find(config)?;
    let problems = match engine.load(&root) {
        Ok(project) => {
            if !project.warnings.is_empty() {
                screen.note(engine.render(&project.warnings, screen.stderr_color()).trim_end());
            }
            return Ok(project);
        }
        Err(problems) => problems,
    };
    screen.complain(engine.render(&problems, screen.stderr_color()).trim_end());
    if screen.format() == Format::Json {
        screen.json(&json!({ "problems": engine.problems_json(&problems) }))?;
    }
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
    screen.note(&format!("{}: nothing was run", super::screen::plural(errors as u64, "problem")));
    Err(Failure::said(Exit::Config))
}

/// Opens the project's state.
///
/// # Errors
/// The key or the state cannot be used.
pub async fn open_state(engine: &dyn Engine, project: &Project) -> Result<State, Failure> {
    let sealer = engine.sealer(project)?;
    Ok(State::open(&project.state.dir, sealer).await?)
}

/// Opens the project's state for looking at it; `None` where nothing has run yet, and nothing is made.
///
/// # Errors
/// As [`open_state`].
pub async fn open_existing_state(engine: &dyn Engine, project: &Project) -> Result<Option<State>, Failure> {
    if State::exists(&project.state.dir) { open_state(engine, project).await.map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_found_upwards_or_where_it_is_said_to_be() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let deep = dir.path().join("a/syncs/deep");
        std::fs::create_dir_all(&deep).expect("made");
        let missing = find_from(&deep, None).expect_err("nothing there yet");
        assert_eq!(missing.exit, Exit::Config);
        let root = dir.path().join("a");
        std::fs::write(root.join(FILE), "version = 1\n").expect("written");
        assert_eq!(find_from(&deep, None).expect("found"), root);
        assert_eq!(find_from(dir.path(), Some(Path::new("a"))).expect("found"), root);
        assert_eq!(find_from(dir.path(), Some(Path::new("a/backhaul.toml"))).expect("found"), root);
        assert!(find_from(dir.path(), Some(Path::new("a/syncs"))).is_err());
    }
}
