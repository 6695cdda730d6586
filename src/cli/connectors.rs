//! `backhaul connectors`.

use backhaul_kit::config::nearest;
use backhaul_kit::{DestinationKind, Mode, Object, Operation, SourceKind, WritePolicy};
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
    /// How many operations were validated against the vendor's description.
    validated: usize,
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

fn listing(sources: &[&'static dyn SourceKind], destinations: &[&'static DestinationKind]) -> Listing {
    let source = |kind: &&'static dyn SourceKind| Connector {
        name: kind.name(),
        kind: "warehouse",
        summary: kind.about(),
        proof: None,
        validated: 0,
        sandbox: false,
    };
    let destination = |kind: &&'static DestinationKind| Connector {
        name: kind.name,
        kind: "destination",
        summary: kind.summary,
        proof: Some(kind.proof),
        validated: kind.validated.lines().count(),
        sandbox: kind.sandbox.is_some(),
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
            match (connector.proof.unwrap_or(""), connector.validated) {
                (proof, 0) => proof.into(),
                (proof, operations) => format!("{proof} ({operations} operations)"),
            },
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
    /// What it writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    /// The operations that were validated against the vendor's description.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validated: Vec<&'static str>,
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

/// What is offered for an object.
#[derive(Debug, Serialize)]
struct Written {
    object: &'static str,
    modes: Vec<&'static str>,
    removed: Vec<&'static str>,
    matched: &'static [&'static str],
    writes: Vec<&'static str>,
}

impl Written {
    fn of(object: &Object) -> Self {
        Self {
            object: object.name.as_str(),
            modes: object.modes.iter().map(|mode| mode.as_str()).collect(),
            removed: object.removed.iter().map(|removed| removed.as_str()).collect(),
            matched: object.matched,
            writes: [WritePolicy::Always].iter().chain(object.writes).map(|write| write.as_str()).collect(),
        }
    }
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
    destinations: &[&'static DestinationKind],
    name: &str,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    for kind in sources.iter().filter(|kind| kind.name() == name) {
        found.push(Shown {
            name: kind.name(),
            kind: "warehouse",
            title: kind.name(),
            summary: kind.about(),
            objects: Vec::new(),
            proof: None,
            validated: Vec::new(),
            settings: kind.json_schema(),
            into: Value::Null,
            example: Vec::new(),
            operations: Vec::new(),
            errors: &[],
            sandbox: Vec::new(),
        });
    }
    for kind in destinations.iter().filter(|kind| kind.name == name) {
        let schema = (kind.schema)();
        found.push(Shown {
            name: kind.name,
            kind: "destination",
            title: kind.title,
            summary: kind.summary,
            objects: kind.objects.iter().map(Written::of).collect(),
            proof: Some(kind.proof),
            validated: kind.validated.lines().collect(),
            settings: schema.account,
            into: schema.into,
            example: files_of(kind.example),
            operations: operations(kind),
            errors: kind.errors,
            sandbox: kind.sandbox.map(|sandbox| sandbox().settings()).unwrap_or_default(),
        });
    }
    if found.is_empty() {
        let names = sources.iter().map(|k| k.name()).chain(destinations.iter().map(|k| k.name));
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
    if let Some(proof) = shown.proof {
        text.push_str(&format!(
            "{}{}proved by {proof}",
            gap(format),
            if format == Format::Markdown { "- " } else { "" }
        ));
    }
    text.push('\n');
    let mut part = |heading: &str, body: String| {
        let mark = if format == Format::Markdown { "## " } else { "" };
        text.push_str(&format!("\n{mark}{heading}{}{body}\n", gap(format)));
    };
    if !shown.objects.is_empty() {
        part("What it writes", objects_table(&shown.objects).render(format));
    }
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
    if !shown.validated.is_empty() {
        let mut table = Table::new(&[("operation", Align::Left)]);
        for operation in &shown.validated {
            table.row([(*operation).into()]);
        }
        part("Validated against the vendor's API description", table.render(format));
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

/// What is offered for each object.
fn objects_table(objects: &[Written]) -> Table {
    let names = ["object", "mode", "removed", "matched by", "write"];
    let mut table = Table::new(&names.map(|name| (name, Align::Left)));
    for object in objects {
        let [modes, removed, matched, writes] =
            [&object.modes[..], &object.removed, object.matched, &object.writes].map(|words| words.join(", "));
        table.row([object.object.to_owned(), modes, removed, matched, writes]);
    }
    table
}

/// The operations of the syncs of a kind's example; none where this build cannot read it.
fn operations(kind: &DestinationKind) -> Vec<Operations> {
    let syncs = example(kind.example, &Registry::built_in()).unwrap_or_default();
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
