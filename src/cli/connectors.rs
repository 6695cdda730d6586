//! `backhaul connectors`.

use backhaul_kit::config::nearest;
use backhaul_kit::{DestinationKind, Mode, Operation, SourceKind};
use serde::Serialize;
use serde_json::Value;

use super::screen::{Align, Format, Table, block, number};
use super::{Exit, Failure, Screen};
use crate::config::{Registry, SyncDef, example, files_of};

const EXAMPLES: &str = "\
Examples:
  backhaul connectors                what there is, and how each is proved
  backhaul connectors show hubspot   its objects, modes and settings";

/// List warehouses and destinations, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all (what no word does, too)
    List,
    /// Show one
    Show {
        /// Its name, as in `type = "…"`
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct Connector {
    name: &'static str,
    kind: &'static str,
    summary: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    sandbox: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    connectors: Vec<Connector>,
}

pub(super) fn connectors(screen: &Screen, args: &Args) -> Result<Exit, Failure> {
    let (sources, destinations) = (backhaul_connectors::warehouses(), backhaul_connectors::destinations());
    match &args.action {
        None | Some(Action::List) => {
            let listing = listing(sources, destinations);
            screen.show(&listing, |format| list_text(&listing, format))?;
        }
        Some(Action::Show { name }) => show(screen, sources, destinations, name)?,
    }
    Ok(Exit::Ok)
}

fn listing(sources: &[&'static dyn SourceKind], destinations: &[&'static dyn DestinationKind]) -> Listing {
    let source = |kind: &&'static dyn SourceKind| Connector {
        name: kind.name(),
        kind: "warehouse",
        summary: kind.about(),
        proof: None,
        sandbox: false,
    };
    let destination = |kind: &&'static dyn DestinationKind| {
        let about = kind.about();
        Connector {
            name: kind.name(),
            kind: "destination",
            summary: about.summary,
            proof: Some(about.proof),
            sandbox: kind.sandbox().is_some(),
        }
    };
    Listing { connectors: sources.iter().map(source).chain(destinations.iter().map(destination)).collect() }
}

fn list_text(listing: &Listing, format: Format) -> String {
    let left = |name| (name, Align::Left);
    let mut table = Table::new(&[left("name"), left("kind"), left("proved by"), left("stand-in"), left("what")]);
    for connector in &listing.connectors {
        table.row([
            connector.name.into(),
            connector.kind.into(),
            connector.proof.unwrap_or("").into(),
            if connector.sandbox { "yes".into() } else { String::new() },
            connector.summary.into(),
        ]);
    }
    let legend = "proved by spec: against the vendor's own API description; live: against a real account, on that date\n  \
                  → one of them: backhaul connectors show NAME";
    format!("{}\n\n{}", table.render(format), block(legend, format))
}

#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    kind: &'static str,
    title: &'static str,
    summary: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<&'static str>,
    modes: Vec<&'static str>,
    removed: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    /// JSON Schema of the keys in `backhaul.toml`.
    settings: Value,
    /// JSON Schema of the keys in `[into]`.
    into: Value,
    /// A project that uses it: paths and texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    example: Vec<(&'static str, &'static str)>,
    /// What is true of each operation of the example's syncs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<Operations>,
    /// What is refused, and what to do about it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'static [(&'static str, &'static str)],
    /// What its stand-in can be told.
    sandbox: Vec<(&'static str, &'static str)>,
}

/// The operations of one sync of an example.
#[derive(Debug, Serialize)]
struct Operations {
    sync: String,
    object: String,
    operations: Vec<Offered>,
}

/// What is true of one operation.
#[derive(Debug, Serialize)]
struct Offered {
    operation: &'static str,
    rows_a_call: usize,
    evidence: &'static str,
    repeatable: bool,
    found_by: &'static str,
    scopes: Vec<String>,
}

impl Operations {
    fn of(sync: &SyncDef) -> Self {
        let offered = |operation: &Operation| {
            let facts = sync.prepared.facts(*operation);
            (facts.max_rows > 0).then(|| Offered {
                operation: operation.as_str(),
                rows_a_call: facts.max_rows,
                evidence: facts.evidence.as_str(),
                repeatable: facts.resend_safe,
                found_by: facts.address.as_str(),
                scopes: facts.scopes,
            })
        };
        let mode = sync.shape.mode.0;
        let removal =
            if mode == Mode::Audience { Some(Operation::AudienceRemove) } else { sync.shape.removed.0.operation() };
        let asked = [Some(mode.write_operation()), Some(Operation::Move), removal];
        Self {
            sync: sync.name.clone(),
            object: sync.prepared.object(),
            operations: asked.iter().flatten().filter_map(offered).collect(),
        }
    }

    fn table(&self) -> Table {
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("operation"),
            ("rows a call", Align::Right),
            left("proved by"),
            left("may be repeated"),
            left("found by"),
            left("needs"),
        ]);
        for offered in &self.operations {
            let rows =
                if offered.rows_a_call == usize::MAX { "all".into() } else { number(offered.rows_a_call as u64) };
            table.row([
                offered.operation.into(),
                rows,
                offered.evidence.into(),
                if offered.repeatable { "yes".into() } else { "no".into() },
                offered.found_by.into(),
                offered.scopes.join(", "),
            ]);
        }
        table
    }
}

fn show(
    screen: &Screen,
    sources: &[&'static dyn SourceKind],
    destinations: &[&'static dyn DestinationKind],
    name: &str,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    for kind in sources.iter().filter(|kind| kind.name() == name) {
        found.push(Shown {
            name: kind.name(),
            kind: "warehouse",
            title: kind.name(),
            summary: kind.about(),
            objects: None,
            modes: Vec::new(),
            removed: Vec::new(),
            proof: None,
            settings: kind.json_schema(),
            into: Value::Null,
            example: Vec::new(),
            operations: Vec::new(),
            errors: &[],
            sandbox: Vec::new(),
        });
    }
    for kind in destinations.iter().filter(|kind| kind.name() == name) {
        let (about, schema) = (kind.about(), kind.json_schema());
        found.push(Shown {
            name: kind.name(),
            kind: "destination",
            title: about.title,
            summary: about.summary,
            objects: Some(about.objects),
            modes: about.modes.iter().map(|mode| mode.as_str()).collect(),
            removed: about.removed.iter().map(|removed| removed.as_str()).collect(),
            proof: Some(about.proof),
            settings: schema.account,
            into: schema.into,
            example: files_of(kind.example()),
            operations: operations(*kind),
            errors: kind.errors(),
            sandbox: kind.sandbox().map(backhaul_kit::SandboxKind::settings).unwrap_or_default(),
        });
    }
    if found.is_empty() {
        let names = sources.iter().map(|k| k.name()).chain(destinations.iter().map(|k| k.name()));
        let failure = Failure::usage(format!("there is no connector \"{name}\""));
        return Err(match nearest(name, names) {
            Some(near) => failure.remedy(format!("did you mean \"{near}\"?")),
            None => failure.remedy("`backhaul connectors` lists them"),
        });
    }
    screen.show(&serde_json::json!({ "connectors": found }), |format| {
        found.iter().map(|shown| shown_text(shown, format)).collect::<Vec<_>>().join("\n\n")
    })
}

fn shown_text(shown: &Shown, format: Format) -> String {
    let mut text = match format {
        Format::Markdown => format!("# {}\n\n{}: {}", shown.title, shown.kind, shown.summary),
        _ => format!("{} ({}): {}", shown.name, shown.kind, shown.summary),
    };
    let mut facts = Vec::new();
    for (name, value) in [
        ("objects", shown.objects.unwrap_or("")),
        ("modes", &shown.modes.join(", ")),
        ("removed", &shown.removed.join(", ")),
        ("proved by", shown.proof.unwrap_or("")),
    ] {
        match format {
            _ if value.is_empty() => {}
            Format::Markdown => facts.push(format!("- {name}: {value}")),
            _ => facts.push(format!("{name:<11}{value}")),
        }
    }
    if !facts.is_empty() {
        text.push_str(gap(format));
        text.push_str(&facts.join("\n"));
    }
    text.push('\n');
    let mut part = |heading: &str, body: String| {
        let mark = if format == Format::Markdown { "## " } else { "" };
        text.push_str(&format!("\n{mark}{heading}{}{body}\n", gap(format)));
    };
    let account = format!("In backhaul.toml, [{}s.NAME] with type = \"{}\"", shown.kind, shown.name);
    for (heading, schema) in [(account.as_str(), &shown.settings), ("In a sync, [into]", &shown.into)] {
        if let Some(table) = settings_table(schema) {
            part(heading, table.render(format));
        }
    }
    for (path, file) in &shown.example {
        part(&format!("Example: {path}"), code(file, format));
    }
    for sync in &shown.operations {
        let heading = format!("What a run of `{}` does at `{}`", sync.sync, sync.object);
        part(&heading, sync.table().render(format));
    }
    if !shown.errors.is_empty() {
        let mut table = Table::new(&[("what is refused", Align::Left), ("what it means, and what to do", Align::Left)]);
        for (code, meaning) in shown.errors {
            table.row([(*code).into(), (*meaning).into()]);
        }
        part("Refusals", table.render(format));
    }
    if !shown.sandbox.is_empty() {
        let mut table = Table::new(&[("setting", Align::Left), ("what", Align::Left)]);
        for (name, what) in &shown.sandbox {
            table.row([(*name).into(), (*what).into()]);
        }
        part(&format!("A stand-in: `backhaul sandbox {} --set SETTING=VALUE`", shown.name), table.render(format));
    }
    text.trim_end().to_owned()
}

/// The operations of the syncs of a kind's example; none where this build cannot read it.
fn operations(kind: &dyn DestinationKind) -> Vec<Operations> {
    let syncs = example(kind.example(), &Registry::built_in()).unwrap_or_default();
    syncs.iter().map(|sync| Operations::of(sync)).collect()
}

/// A file of TOML.
fn code(text: &str, format: Format) -> String {
    match format {
        Format::Markdown => format!("```toml\n{text}\n```"),
        _ => text.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n"),
    }
}

/// What stands between a heading and its table: Markdown joins a table to a line right above it.
fn gap(format: Format) -> &'static str {
    if format == Format::Markdown { "\n\n" } else { "\n" }
}

/// The keys of an object schema, with the first line of what each says.
fn settings_table(schema: &Value) -> Option<Table> {
    let properties = schema.get("properties")?.as_object()?;
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = Table::new(&[("key", Align::Left), ("needed", Align::Left), ("what", Align::Left)]);
    for (key, property) in properties {
        let need = if required.contains(&key.as_str()) { "yes" } else { "" };
        let what = property.get("description").and_then(Value::as_str).unwrap_or("");
        table.row([key.clone(), need.into(), what.lines().next().unwrap_or("").into()]);
    }
    (!table.is_empty()).then_some(table)
}
