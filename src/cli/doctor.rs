//! `backhaul doctor`.

use serde::Serialize;

use super::screen::{Align, Format, Table, block};
use super::{Engine, Exit, Failure, Screen, select};
use crate::config::Project;
use crate::run::{Examined, exit_code};

const EXAMPLES: &str = "\
Examples:
  backhaul doctor                    what every credential lacks and has beyond need; writes nothing
  backhaul doctor vip-crm tag:ads    those of these syncs
  backhaul doctor --egress           the hosts that a firewall has to let through";

/// Hold credentials against what the syncs need
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME; default: all
    #[arg(value_name = "SYNC")]
    syncs: Vec<String>,
    /// List the hosts that are connected to; no connection is made
    #[arg(long)]
    egress: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    credentials: Vec<View>,
}

#[derive(Debug, Serialize)]
struct View {
    subject: String,
    identity: String,
    missing: Vec<String>,
    excess: Vec<String>,
    unknowable: Vec<String>,
    grant: Vec<String>,
    error: Option<String>,
    remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Egress {
    hosts: Vec<Host>,
}

#[derive(Debug, Serialize)]
struct Host {
    host: String,
    subject: String,
}

pub(super) async fn doctor(
    screen: &Screen,
    engine: &dyn Engine,
    project: &Project,
    args: &Args,
) -> Result<Exit, Failure> {
    let syncs = select::or_all(project, &args.syncs)?;
    if args.egress {
        let hosts = engine.egress(project, &syncs)?;
        let hosts = hosts.into_iter().map(|(host, subject)| Host { host, subject }).collect();
        let egress = Egress { hosts };
        screen.show(&egress, |format| hosts_text(&egress, format))?;
        return Ok(Exit::Ok);
    }
    let examined = engine.doctor(project, &syncs).await;
    let exit = examined.iter().map(exit_of).fold(Exit::Ok, Exit::worst);
    let report = Report { credentials: examined.into_iter().map(View::of).collect() };
    screen.show(&report, |format| block(&text(&report), format))?;
    Ok(exit)
}

fn exit_of(examined: &Examined) -> Exit {
    match &examined.fault {
        Some(fault) => Exit::from_code(exit_code(fault.class)),
        None if !examined.missing.is_empty() => Exit::Credentials,
        None => Exit::Ok,
    }
}

impl View {
    fn of(examined: Examined) -> Self {
        let Examined { subject, identity, missing, excess, unknowable, grant, fault } = examined;
        let remedy = fault.as_ref().map(|fault| fault.remedy_text().to_owned());
        Self { subject, identity, missing, excess, unknowable, grant, error: fault.map(|f| f.to_string()), remedy }
    }
}

fn text(report: &Report) -> String {
    if report.credentials.is_empty() {
        return String::from("no syncs yet: put one into syncs/NAME.toml");
    }
    report.credentials.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn one(view: &View) -> String {
    let mut lines = vec![format!("{}  {}", view.subject, view.identity).trim_end().to_owned()];
    if let Some(error) = &view.error {
        lines.push(format!("  ✗ {error}"));
        lines.extend(view.remedy.iter().map(|remedy| format!("  → {remedy}")));
    } else if view.missing.is_empty() && view.excess.is_empty() {
        let known = if view.unknowable.is_empty() { "no more than it needs" } else { "no more that could be told" };
        lines.push(format!("  ✓ has what it needs, and {known}"));
    }
    lines.extend(view.missing.iter().map(|right| format!("  ✗ missing: {right}")));
    lines.extend(view.excess.iter().map(|right| format!("  ! more than needed: {right}")));
    lines.extend(view.unknowable.iter().map(|what| format!("  ? cannot be known here: {what}")));
    if !view.grant.is_empty() {
        lines.push(String::from("  the smallest grant:"));
        lines.extend(view.grant.iter().map(|grant| format!("    {grant}")));
    }
    lines.join("\n")
}

fn hosts_text(egress: &Egress, format: Format) -> String {
    let mut table = Table::new(&[("host", Align::Left), ("needed by", Align::Left)]);
    for Host { host, subject } in &egress.hosts {
        table.row([host.clone(), subject.clone()]);
    }
    table.render(format)
}

#[cfg(test)]
mod tests {
    use backhaul_kit::Fault;

    use super::*;

    fn examined() -> Vec<Examined> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        vec![
            Examined {
                subject: "warehouse analytics".into(),
                identity: "PostgreSQL 15.18 as app".into(),
                excess: words(&["SUPERUSER", "write rights on marts.vip"]),
                grant: words(&[
                    "GRANT USAGE ON SCHEMA \"marts\" TO \"app\";",
                    "GRANT SELECT ON \"marts\".\"vip\" TO \"app\";",
                ]),
                ..Examined::default()
            },
            Examined {
                subject: "sync vip-crm".into(),
                identity: "hubspot:123".into(),
                missing: words(&["crm.objects.contacts.write"]),
                unknowable: words(&["scopes that were granted and are not used"]),
                grant: words(&["crm.objects.contacts.read", "crm.objects.contacts.write"]),
                ..Examined::default()
            },
            Examined { subject: "sync good".into(), identity: "file:exports".into(), ..Examined::default() },
            Examined {
                subject: "sync down".into(),
                fault: Some(Fault::transient("cannot reach api.example.com")),
                ..Examined::default()
            },
        ]
    }

    #[test]
    fn credentials_are_held_against_what_is_needed() {
        let exits: Vec<Exit> = examined().iter().map(exit_of).collect();
        assert_eq!(exits, [Exit::Ok, Exit::Credentials, Exit::Ok, Exit::Unavailable]);
        let report = Report { credentials: examined().into_iter().map(View::of).collect() };
        insta::assert_snapshot!(text(&report));
    }
}
