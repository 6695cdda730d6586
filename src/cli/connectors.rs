//! `backhaul connectors`.

use backhaul_kit::config::nearest;
use backhaul_kit::{DestinationKind, SourceKind};
use serde::Serialize;
use serde_json::Value;

use super::screen::{Align, Format, Table, block};
use super::{Exit, Failure, Screen};

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
    /// What its stand-in can be told.
    sandbox: Vec<(&'static str, &'static str)>,
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
            sandbox: kind.sandbox().map(|sandbox| sandbox.settings().to_vec()).unwrap_or_default(),
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
    let mut facts = vec![format!("{} ({}): {}", shown.name, shown.kind, shown.summary)];
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push(format!("{name:<11}{value}"));
        }
    };
    fact("objects", shown.objects.unwrap_or(""));
    fact("modes", &shown.modes.join(", "));
    fact("removed", &shown.removed.join(", "));
    fact("proved by", shown.proof.unwrap_or(""));
    let mut text = block(&facts.join("\n"), format) + "\n";
    let account = format!("In backhaul.toml, [{}s.NAME] with type = \"{}\"", shown.kind, shown.name);
    for (heading, schema) in [(account.as_str(), &shown.settings), ("In a sync, [into]", &shown.into)] {
        if let Some(table) = settings_table(schema) {
            text.push_str(&format!("\n{heading}{}{}\n", gap(format), table.render(format)));
        }
    }
    if !shown.sandbox.is_empty() {
        let mut table = Table::new(&[("setting", Align::Left), ("what", Align::Left)]);
        for (name, what) in &shown.sandbox {
            table.row([(*name).into(), (*what).into()]);
        }
        let heading = format!("A stand-in: backhaul sandbox {} --set SETTING=VALUE", shown.name);
        text.push_str(&format!("\n{heading}{}{}\n", gap(format), table.render(format)));
    }
    text.trim_end().to_owned()
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
