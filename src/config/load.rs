//! The whole project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, Problems, Severity, SourceFile, Span, parse};
use backhaul_kit::{DestinationKind, SourceKind};

use super::project::{ModelDef, Project};
use super::root::Root;
use super::{across, files, groups, model, names, people, references, root, sync};

const ROOT_FILE: &str = "backhaul.toml";

/// The kinds of warehouses and destinations that a project may name.
pub struct Registry<'a> {
    /// Kinds of warehouses.
    pub warehouses: &'a [&'a dyn SourceKind],
    /// Kinds of destinations.
    pub destinations: &'a [&'static DestinationKind],
}

impl Registry<'static> {
    /// Those that come with backhaul.
    pub fn built_in() -> Self {
        Self { warehouses: backhaul_connectors::warehouses(), destinations: backhaul_connectors::destinations() }
    }
}

/// Reads and checks the project in the folder `root`. No secret is read and nothing is connected.
///
/// # Errors
/// Every problem found, sorted by file and place, warnings included.
pub fn load(root: &Path) -> Result<Project, Vec<Problem>> {
    load_with(root, &Registry::built_in())
}

/// [`load`], with other kinds than the built-in ones.
///
/// # Errors
/// Every problem found, sorted by file and place, warnings included.
pub fn load_with(root: &Path, registry: &Registry<'_>) -> Result<Project, Vec<Problem>> {
    let problems = Problems::default();
    let project = read(root, registry, &problems);
    let mut found = problems.take();
    found.sort_by(|a, b| place(a).cmp(&place(b)));
    match project {
        Some(project) if found.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Project { warnings: found, ..project })
        }
        _ => Err(found),
    }
}

fn place(problem: &Problem) -> Option<(&Path, usize)> {
    problem.span.as_ref().map(|span| (span.file.path.as_path(), span.range.start))
}

fn read(path: &Path, registry: &Registry<'_>, problems: &Problems) -> Option<Project> {
    let file = match files::read(path, Path::new(ROOT_FILE)) {
        Ok(file) => file,
        Err(problem) if problem.code == "missing-file" => {
            problems.push(
                Problem::error("missing-file", format!("there is no {ROOT_FILE} in {}", path.display()))
                    .remedy("start a project with `backhaul init`, or say where it is with `--config`"),
            );
            return None;
        }
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let own = Problems::default();
    let mut root = root::read(parse(&file, &own), path, registry);
    if take_over(&own, problems) {
        // Nothing that the other files refer to can be relied on: they are only parsed.
        for (folder, what) in [("models", "model"), ("syncs", "sync")] {
            each_file(path, folder, what, problems, |_, _, _| {});
        }
        return None;
    }
    let models = models(path, &root, problems);
    people::check_lists(&root.suppression, &models, problems);
    let (mut read, known) = syncs(path, &root, &models, problems);
    check_inline_models(&models, &read, problems);
    across::check(&read, &known, problems);
    groups::check(&root.groups, &read, &known, problems);
    references::check(&mut read, &known, problems);

    let mut all_models: BTreeMap<String, Arc<ModelDef>> =
        models.into_iter().filter_map(|(name, model)| Some((name, model?))).collect();
    for (name, sync) in &mut read {
        all_models.extend(sync.inline_model.take().map(|(model, _)| (name.clone(), model)));
    }
    Some(Project {
        root: path.to_owned(),
        state: root.state.take()?,
        warehouses: root.warehouses,
        destinations: root.destinations,
        models: all_models,
        syncs: read.into_iter().filter_map(|(name, read)| Some((name, Arc::new(read.sync?)))).collect(),
        groups: root.groups.into_iter().map(|(name, syncs)| (name, names_of(syncs))).collect(),
        warnings: Vec::new(),
    })
}

fn names_of(written: groups::Written) -> Vec<String> {
    written.into_iter().map(|(name, _)| name).collect()
}

/// Adds a file's own problems to all. Of a file with a syntax error only what the parser said: the rest is
/// guessed from what it could make of it. Returns whether there was one.
fn take_over(own: &Problems, all: &Problems) -> bool {
    let found = own.take();
    let broken = found.iter().any(|problem| problem.code == "syntax");
    for problem in found {
        if !broken || matches!(problem.code, "syntax" | "duplicate-key") {
            all.push(problem);
        }
    }
    broken
}

/// Calls `each` with every readable file of `folder/*.toml`; returns all names, unreadable files included.
fn each_file(
    path: &Path,
    folder: &str,
    what: &str,
    problems: &Problems,
    mut each: impl FnMut(String, &Arc<SourceFile>, ConfigTable),
) -> BTreeSet<String> {
    let listed = files::list(path, folder).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let names = listed.iter().map(|(name, _)| name.clone()).collect();
    for (name, relative) in listed {
        match files::read(path, &relative) {
            Ok(file) => {
                if let Some(problem) = names::check(what, &name) {
                    problems.push(problem.at(&Span { file: file.clone(), range: 0..0 }).label("the file's name"));
                }
                let own = Problems::default();
                each(name, &file, parse(&file, &own));
                take_over(&own, problems);
            }
            Err(problem) => problems.push(problem),
        }
    }
    names
}

fn models(path: &Path, root: &Root, problems: &Problems) -> BTreeMap<String, Option<Arc<ModelDef>>> {
    let around = model::Around { path, root };
    let mut models = BTreeMap::new();
    let names = each_file(path, "models", "model", problems, |name, file, mut table| {
        let model = model::read(&mut table, &name, file, &around);
        table.finish();
        models.insert(name, model.map(Arc::new));
    });
    for name in names {
        models.entry(name).or_insert(None);
    }
    models
}

fn syncs(
    path: &Path,
    root: &Root,
    models: &BTreeMap<String, Option<Arc<ModelDef>>>,
    problems: &Problems,
) -> (BTreeMap<String, sync::Read>, BTreeSet<String>) {
    let around = sync::Around { path, root, models };
    let mut syncs = BTreeMap::new();
    let names = each_file(path, "syncs", "sync", problems, |name, file, mut table| {
        let read = sync::read(&mut table, &name, file, &around);
        table.finish();
        syncs.insert(name, read);
    });
    (syncs, names)
}

/// A `[model]` table goes by its sync's name, which no file in `models/` may have.
fn check_inline_models(
    models: &BTreeMap<String, Option<Arc<ModelDef>>>,
    syncs: &BTreeMap<String, sync::Read>,
    problems: &Problems,
) {
    for (name, sync) in syncs {
        if let Some((_, span)) = &sync.inline_model
            && models.contains_key(name)
        {
            problems.push(
                Problem::error(
                    "duplicate-name",
                    format!("two models are named \"{name}\": this one and models/{name}.toml"),
                )
                .at(span)
                .remedy(format!("use the other by `model = \"{name}\"`, or rename one of the files")),
            );
        }
    }
}
