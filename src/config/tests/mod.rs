//! Wrong projects and what is said of them; right projects and what they mean.

pub(crate) mod kinds;
mod right;
mod schema;
mod secrets;

use std::path::{Path, PathBuf};

use backhaul_kit::config::Problem;
use backhaul_kit::{Column, Schema, TypeClass};

use super::{Project, load_with, problems_json, render};
use crate::mapping::Mapper;
use kinds::REGISTRY;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

/// A project in a folder of its own: the right one of `tests/config/base`, with these files over it.
pub(crate) fn project_over_base(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures().join("base"), folder.path());
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn load(folder: &Path) -> Result<Project, Vec<Problem>> {
    load_with(folder, &REGISTRY)
}

/// The columns of the base project's model.
pub(crate) fn customers() -> Schema {
    let columns = [
        ("customer_id", TypeClass::Integer, "int8"),
        ("email", TypeClass::Text, "text"),
        ("first_name", TypeClass::Text, "text"),
        ("city", TypeClass::Text, "text"),
        ("plan", TypeClass::Text, "text"),
        ("revenue", TypeClass::Decimal, "numeric"),
        ("score", TypeClass::Float, "float8"),
        ("tags", TypeClass::Array(Box::new(TypeClass::Text)), "text[]"),
        ("area", TypeClass::Unsupported, "polygon"),
        ("signed_up_at", TypeClass::Timestamp, "timestamptz"),
    ];
    let column =
        |(name, class, native): (&str, TypeClass, &str)| Column { name: name.into(), class, native: native.into() };
    Schema { columns: columns.into_iter().map(column).collect() }
}

/// What is wrong in the project, or in its syncs once the model's columns are known.
fn problems(folder: &Path) -> Vec<Problem> {
    match load(folder) {
        Err(problems) => problems,
        Ok(project) => {
            project.syncs.values().filter_map(|sync| Mapper::compile(sync, &customers()).err()).flatten().collect()
        }
    }
}

#[test]
fn every_wrong_project_is_explained() {
    let mut names: Vec<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "base" && name != "snapshots")
        .filter(|name| cfg!(feature = "phone") || !name.starts_with("country-of"))
        .collect();
    names.sort();
    assert!(names.len() >= 45, "only {} wrong projects", names.len());
    insta::with_settings!({
        snapshot_path => fixtures().join("snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        for name in names {
            let folder = project_over_base(&[]);
            copy(&fixtures().join(&name), folder.path());
            let found = problems(folder.path());
            assert!(!found.is_empty(), "{name} is a right project");
            insta::assert_snapshot!(name.clone(), render(&found, false));
        }
    });
}

#[test]
fn the_base_of_the_wrong_projects_is_right() {
    let folder = project_over_base(&[]);
    assert_eq!(render(&problems(folder.path()), false), "");
}

#[test]
fn programs_get_the_same_problems_as_json() {
    let folder =
        project_over_base(&[("backhaul.toml", "version = 1\nstaet = 1\n[destinations.crm]\ntype = \"hubspto\"\n")]);
    let found = problems(folder.path());
    let json = problems_json(&found);
    assert_eq!(json.as_array().unwrap().len(), found.len());
    let unknown = json.as_array().unwrap().iter().find(|problem| problem["code"] == "unknown-type").unwrap();
    assert_eq!(
        (&unknown["file"], &unknown["line"], &unknown["column"]),
        (&"backhaul.toml".into(), &4.into(), &8.into())
    );
    assert_eq!(unknown["label"], "did you mean \"hubspot\"?");
}
