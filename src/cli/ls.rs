//! `backhaul ls`.

use serde::Serialize;

use super::screen::{Align, Format, Table, duration};
use super::{Exit, Failure, Screen, select};
use crate::config::{Project, Schedule, SyncDef};

const EXAMPLES: &str = "\
Examples:
  backhaul ls
  backhaul ls tag:crm
  backhaul ls --output json";

/// List the syncs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME; default: all
    #[arg(value_name = "SYNC")]
    syncs: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    sync: String,
    title: Option<String>,
    owner: Option<String>,
    tags: Vec<String>,
    model: String,
    destination: String,
    object: Option<String>,
    mode: &'static str,
    fields: usize,
    schedule: String,
}

#[derive(Debug, Serialize)]
struct Listing {
    syncs: Vec<Entry>,
}

pub(super) fn ls(screen: &Screen, project: &Project, args: &Args) -> Result<Exit, Failure> {
    let syncs = select::or_all(project, &args.syncs)?;
    let listing = Listing { syncs: syncs.iter().map(|sync| entry(sync)).collect() };
    if listing.syncs.is_empty() {
        screen.note("no syncs yet: put one into syncs/NAME.toml");
    }
    screen.show(&listing, |format| text(&listing, format))?;
    Ok(Exit::Ok)
}

fn entry(sync: &SyncDef) -> Entry {
    Entry {
        sync: sync.name.clone(),
        title: sync.title.clone(),
        owner: sync.owner.clone(),
        tags: sync.tags.clone(),
        model: sync.model.name.clone(),
        destination: sync.destination.clone(),
        object: sync.shape.object.as_ref().map(|(name, _)| name.clone()),
        mode: sync.shape.mode.0.as_str(),
        fields: sync.fields.len(),
        schedule: schedule(&sync.schedule),
    }
}

/// A schedule in a few words.
pub(super) fn schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Manual => String::from("manual"),
        Schedule::Every(period) => format!("every {}", duration(*period)),
        Schedule::Cron { cron, zone } => match zone.iana_name() {
            Some(zone) => format!("{} {zone}", cron.as_str()),
            None => cron.as_str().to_owned(),
        },
        Schedule::After(names) => format!("after {}", names.join(", ")),
    }
}

fn text(listing: &Listing, format: Format) -> String {
    let left = |name| (name, Align::Left);
    let mut table = Table::new(&[
        left("sync"),
        left("model"),
        left("destination"),
        left("mode"),
        ("fields", Align::Right),
        left("schedule"),
        left("owner"),
        left("tags"),
    ]);
    for entry in &listing.syncs {
        let object = entry.object.as_ref().map_or_else(String::new, |object| format!(" › {object}"));
        table.row([
            entry.sync.clone(),
            entry.model.clone(),
            format!("{}{object}", entry.destination),
            entry.mode.into(),
            entry.fields.to_string(),
            entry.schedule.clone(),
            entry.owner.clone().unwrap_or_default(),
            entry.tags.join(" "),
        ]);
    }
    table.render(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_listed_with_where_they_go_and_when() {
        let entry = |name: &str, object: Option<&str>, schedule: &str| Entry {
            sync: name.into(),
            title: None,
            owner: Some("lifecycle".into()),
            tags: vec!["crm".into(), "eu".into()],
            model: "vip_customers".into(),
            destination: "crm".into(),
            object: object.map(str::to_owned),
            mode: "upsert",
            fields: 12,
            schedule: schedule.into(),
        };
        let listing = Listing {
            syncs: vec![entry("vip-crm", Some("contacts"), "every 15 min"), entry("export", None, "manual")],
        };
        insta::assert_snapshot!(text(&listing, Format::Human));
    }
}
