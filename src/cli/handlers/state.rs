//! `backhaul state` at work.

use std::path::PathBuf;
use std::sync::Arc;

use backhaul_kit::config::Secrets;
use serde::Serialize;

use super::failure;
use crate::cli::screen::{Tone, block, number, plural};
use crate::cli::{Engine, Exit, Failure, Screen, select};
use crate::config::Project;
use crate::run::{self, Rebuilt, Runs, state_key};

/// What reading the state of one sync came to, as programs see it.
#[derive(Debug, Serialize)]
struct SyncView {
    sync: String,
    ok: bool,
    /// Rows accepted and in doubt, where there is a snapshot.
    accepted: Option<u64>,
    in_doubt: Option<u64>,
    files: u64,
    bytes: u64,
    damage: Vec<DamageView>,
}

#[derive(Debug, Serialize)]
struct DamageView {
    file: PathBuf,
    what: String,
    #[serde(skip)]
    of_run: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    syncs: Vec<SyncView>,
}

pub(super) fn verify(
    engine: &dyn Engine,
    screen: &Screen,
    project: &Project,
    words: &[String],
) -> Result<Exit, Failure> {
    let selected = select::or_all(project, words)?;
    let mut syncs = Vec::new();
    // Where nothing lies no key is made.
    let key = match project.state.dir.join("syncs").exists() {
        true => Some(state_key(&project.state, &Secrets::from_env(&project.root)).map_err(|e| failure(engine, &e))?),
        false => None,
    };
    let key = key.map(Arc::new);
    for sync in selected {
        let verified = match &key {
            Some(key) => run::verify(project, key, &sync).map_err(|e| {
                let failed = failure(engine, &e);
                Failure { message: format!("{}: {}", sync.name, failed.message), ..failed }
            })?,
            None => run::Verified::default(),
        };
        syncs.push(SyncView {
            sync: sync.name.clone(),
            ok: verified.damage.is_empty(),
            accepted: verified.records.map(|(accepted, _)| accepted),
            in_doubt: verified.records.map(|(_, in_doubt)| in_doubt),
            files: verified.files,
            bytes: verified.bytes,
            damage: verified
                .damage
                .into_iter()
                .map(|d| DamageView { file: d.file, what: d.what, of_run: d.of_run })
                .collect(),
        });
    }
    let report = Report { ok: syncs.iter().all(|sync| sync.ok), syncs };
    let text = |sync| verified_text(screen, sync);
    screen.show(&report, |format| block(&report.syncs.iter().map(text).collect::<Vec<_>>().join("\n"), format))?;
    Ok(if report.ok { Exit::Ok } else { Exit::Failed })
}

fn verified_text(screen: &Screen, view: &SyncView) -> String {
    let name = &view.sync;
    if view.ok {
        let Some(accepted) = view.accepted else { return format!("{name}  nothing was sent yet") };
        let mut rows = format!("{} accepted", plural(accepted, "row"));
        if let Some(in_doubt @ 1..) = view.in_doubt {
            rows.push_str(&format!(", {} in doubt", number(in_doubt)));
        }
        let read = format!("{}, {} read", plural(view.files, "file"), plural(view.bytes, "byte"));
        return format!("{name}  {}  {rows}; {read}", screen.paint(Tone::Good, "sound"));
    }
    let mut lines = vec![format!("{name}  {}", screen.paint(Tone::Bad, "damaged"))];
    lines.extend(view.damage.iter().map(|damage| format!("  {}: {}", damage.file.display(), damage.what)));
    lines.push(String::from("  → check the disk, then restore the state from a backup"));
    lines.push(if view.damage.iter().all(|damage| damage.of_run) {
        format!("  → without one: backhaul run {name} makes the plan anew, or says what was sent and the way on")
    } else {
        format!("  → without one: backhaul state rebuild {name}")
    });
    lines.join("\n")
}

/// What a rebuild did, as programs see it.
#[derive(Debug, Serialize)]
struct RebuiltView {
    sync: String,
    folder: PathBuf,
    aside: Option<PathBuf>,
    /// Rows that the old snapshot counted.
    records: Option<u64>,
    begun: Vec<BegunView>,
    discarded: Vec<String>,
    rejects: u64,
    #[serde(skip)]
    removes: bool,
    #[serde(skip)]
    duplicates: bool,
}

/// A run that had begun to send.
#[derive(Debug, Serialize)]
struct BegunView {
    run: String,
    accepted: Option<u64>,
    in_doubt: Option<u64>,
}

impl RebuiltView {
    fn of(sync: &str, rebuilt: Rebuilt) -> Self {
        let Rebuilt { folder, aside, records, begun, discarded, rejects, removes, duplicates } = rebuilt;
        let begun = begun.into_iter().map(|begun| BegunView {
            run: begun.run,
            accepted: begun.told.map(|(accepted, _)| accepted),
            in_doubt: begun.told.map(|(_, in_doubt)| in_doubt),
        });
        let (sync, begun) = (sync.to_owned(), begun.collect());
        Self { sync, folder, aside, records, begun, discarded, rejects, removes, duplicates }
    }
}

pub(super) async fn rebuild(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    sync: &str,
    yes: bool,
) -> Result<Exit, Failure> {
    let sync = select::one(runs.project(), sync)?;
    let rebuilt = runs.rebuild(sync, yes).await.map_err(|e| failure(engine, &e))?;
    let view = RebuiltView::of(&sync.name, rebuilt);
    screen.show(&view, |format| block(&rebuilt_text(&view), format))?;
    Ok(Exit::Ok)
}

fn rebuilt_text(view: &RebuiltView) -> String {
    let sync = &view.sync;
    let Some(aside) = &view.aside else {
        return format!("{sync}  has no snapshot: the next run starts from an empty one and sends every row");
    };
    let mut lines = vec![format!("{sync}  the next run starts from an empty snapshot; the old one is now")];
    lines.push(format!("  {}", aside.display()));
    let again = if view.duplicates { "is created again, beside what is there" } else { "is sent again" };
    lines.push(format!("  Every row of the model {again}."));
    let rows = view.records.map_or_else(String::new, |records| format!(" of the {} that it knew", number(records)));
    if view.removes {
        lines
            .push(format!("  Nothing is removed: rows{rows} that are no longer in the model stay at the destination."));
    }
    for begun in &view.begun {
        let told = match (begun.accepted, begun.in_doubt) {
            (Some(accepted), Some(in_doubt)) => {
                format!("{} accepted, {} in doubt", plural(accepted, "row"), number(in_doubt))
            }
            _ => String::from("how far it came is not known"),
        };
        lines
            .push(format!("  Run {} had begun to send ({told}): what is still in the model is sent again.", begun.run));
    }
    lines.extend(view.discarded.iter().map(|run| format!("  Run {run} was held and is given up.")));
    if view.rejects > 0 {
        lines
            .push(format!("  {} forgotten: they are sent again like all others.", plural(view.rejects, "refused row")));
    }
    lines.push(format!("  → go on: backhaul run {sync}"));
    let (aside, folder) = (aside.display(), view.folder.display());
    lines.push(format!("  → go back, before that run: mv {aside} {folder}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use crate::cli::Format;

    use super::*;

    fn sync(name: &str) -> SyncView {
        SyncView {
            sync: name.into(),
            ok: true,
            accepted: Some(20_000),
            in_doubt: Some(0),
            files: 6,
            bytes: 731_204,
            damage: Vec::new(),
        }
    }

    #[test]
    fn a_state_is_sound_or_its_damage_is_named_with_the_ways_out() {
        let screen = Screen::new(Format::Human, 0, false, true);
        let damage =
            |file: &str, what: &str| DamageView { file: file.into(), what: what.into(), of_run: file.contains("runs") };
        let damaged = SyncView {
            ok: false,
            damage: vec![
                damage("state/syncs/ads/base-1.keys", "its digest is not the one in the manifest"),
                damage("state/syncs/ads/segment-2", "the manifest lists it but it is not there"),
            ],
            ..sync("ads")
        };
        let of_run = SyncView {
            ok: false,
            damage: vec![damage("state/syncs/web/runs/20261120T123000-7f3a/plan", "chunk 3 cannot be read")],
            ..sync("web")
        };
        let views = [
            sync("vip-crm"),
            SyncView { in_doubt: Some(3), ..sync("leads") },
            SyncView { accepted: None, ..sync("new") },
            damaged,
            of_run,
        ];
        insta::assert_snapshot!(views.map(|view| verified_text(&screen, &view)).join("\n"));
    }

    #[test]
    fn a_rebuild_says_what_it_costs_and_how_to_go_back() {
        let rebuilt = || RebuiltView {
            sync: "vip-crm".into(),
            folder: "state/syncs/vip-crm".into(),
            aside: Some("state/syncs/vip-crm.aside-20261120T123456Z".into()),
            records: Some(20_000),
            begun: Vec::new(),
            discarded: Vec::new(),
            rejects: 0,
            removes: true,
            duplicates: false,
        };
        let begun = |accepted, in_doubt| BegunView { run: "20261120T123000-7f3a".into(), accepted, in_doubt };
        let views = [
            rebuilt(),
            RebuiltView {
                records: None,
                begun: vec![begun(Some(600), Some(100)), begun(None, None)],
                discarded: vec!["20261120T120000-0001".into()],
                rejects: 2,
                duplicates: true,
                ..rebuilt()
            },
            RebuiltView { removes: false, ..rebuilt() },
            RebuiltView { aside: None, ..rebuilt() },
        ];
        insta::assert_snapshot!(views.map(|view| rebuilt_text(&view)).join("\n\n"));
    }
}
