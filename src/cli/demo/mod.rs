//! `backhaul demo`: the main job in a minute, on an embedded warehouse and a local stand-in of HubSpot.
//!
//! The demo is a user like any other: it writes a project into a temporary folder and runs this very
//! program on it as a child process. What it prints is read from that program's JSON output and from the
//! stand-in's records; step 5 really kills the child.

mod data;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use backhaul_kit::{Fault, Sandbox};
use serde_json::Value as Json;
use tokio::process::Command;
use tokio::time::Instant;

use crate::cli::screen::number;
use crate::cli::{Failure, Screen};
use data::{CUSTOMERS, Warehouse};

const SYNC: &str = "customers-crm";
/// What the account has beyond HubSpot's own contact properties.
const PROPERTIES: &str = "contacts.customer_id:string:unique,contacts.plan:enumeration:free|starter|pro,\
    contacts.lifetime_value:number,contacts.signed_up_on:date";
/// The child must have been in mid-delivery before it is killed.
const CALLS_BEFORE_KILL: u64 = 12;
/// What makes the delivery of step 5 long enough to be killed in the middle.
const SLOW_MILLIS: &str = "40";

/// Why the demo stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A file or process of the demo.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The demo's warehouse.
    #[error("the demo's SQLite warehouse: {0}")]
    Warehouse(#[from] sqlx::Error),
    /// The stand-in.
    #[error("the stand-in: {0}")]
    Sandbox(#[from] Fault),
    /// The output.
    #[error("{}", .0.message)]
    Output(Failure),
    /// The program did not do what the demo promises.
    #[error("{0}")]
    Broken(String),
}

impl From<Failure> for DemoError {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DemoError {
    let what = what.into();
    move |source| DemoError::Io { what, source }
}

/// The demo's folder; removed at the end unless it is to be kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing can be done about a folder that stays behind in the system's temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  backhaul demo                     nothing stays behind
  backhaul demo --keep look         its project stays in the new folder `look`

It uses a small warehouse in a temporary folder and a stand-in of HubSpot on this machine: no account is \
needed, nothing leaves it, and nothing is left running.";

/// See it work in a minute, on this machine alone
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Keep the demo's project in this folder, which must not exist yet
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the demo.
pub(super) async fn demo(screen: &Screen, args: DemoArgs) -> Result<(), DemoError> {
    let started = Instant::now();
    let folder = folder(args.keep)?;
    let sandbox = start_sandbox().await?;
    write_project(&folder.path, sandbox.as_ref())?;
    let mut warehouse = Warehouse::create(&folder.path.join("shop.db")).await?;
    let demo = Demo { root: &folder.path, sandbox: sandbox.as_ref(), screen };
    demo.say("backhaul demo   sandbox › hubspot (nothing leaves this machine)")?;
    demo.first_run().await?;
    demo.no_change().await?;
    demo.change(&mut warehouse).await?;
    demo.refused(&mut warehouse).await?;
    demo.killed(&mut warehouse).await?;
    demo.emptied(&mut warehouse).await?;
    demo.say(&format!("Done in {:.0} s. Now yours:", started.elapsed().as_secs_f64()))?;
    if folder.keep {
        demo.say(&format!("  the demo's project stays in {}; its stand-in, empty again:", folder.path.display()))?;
        let port = demo.sandbox.url().rsplit(':').next().unwrap_or("0").to_owned();
        demo.say(&format!("  backhaul sandbox hubspot --port {port} --set 'properties={PROPERTIES}'"))?;
    } else {
        demo.say("  backhaul demo --keep DIR      keep this project and look around in it")?;
    }
    demo.say("  backhaul init DIR             a project of your own")?;
    demo.say("  backhaul connectors           warehouses and destinations")
}

fn folder(keep: Option<PathBuf>) -> Result<Folder, DemoError> {
    let (path, keep) = match keep {
        Some(path) => (path, true),
        None => (std::env::temp_dir().join(format!("backhaul-demo-{}", std::process::id())), false),
    };
    std::fs::create_dir(&path).map_err(io(format!("cannot create {}", path.display())))?;
    let path = path.canonicalize().map_err(io(format!("cannot open {}", path.display())))?;
    Ok(Folder { path, keep })
}

async fn start_sandbox() -> Result<Box<dyn Sandbox>, DemoError> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(io("cannot open a loopback port for the stand-in"))?;
    let hubspot = backhaul_connectors::destinations()
        .iter()
        .find_map(|kind| kind.sandbox.map(|sandbox| sandbox()).filter(|sandbox| sandbox.name() == "hubspot"))
        .ok_or_else(|| DemoError::Broken("this program was built without the stand-in of HubSpot".into()))?;
    let settings = [("properties".to_owned(), PROPERTIES.to_owned())];
    Ok(hubspot.start(listener, &settings).await?)
}

fn write_project(root: &Path, sandbox: &dyn Sandbox) -> Result<(), DemoError> {
    let config = format!(
        "version = 1\n\n[warehouses.shop]\ntype = \"sqlite\"\npath = \"shop.db\"\n\n[destinations.crm]\n\
         type     = \"hubspot\"\nbase_url = \"{}\"\ntoken    = {{ file = \"hubspot-token\" }}\n",
        sandbox.url()
    );
    let token = sandbox.token();
    let files: [(&str, &str); 4] = [
        ("backhaul.toml", &config),
        ("hubspot-token", &token),
        ("models/customers.toml", include_str!("../../../syncs/customers-to-hubspot/models/customers.toml")),
        ("syncs/customers-crm.toml", include_str!("../../../syncs/customers-to-hubspot/syncs/customers-crm.toml")),
    ];
    for (name, text) in files {
        let path = root.join(name);
        // The examples name schemas that lie beside them, not here.
        let text =
            text.split_once('\n').filter(|(first, _)| first.starts_with("#:schema")).map_or(text, |(_, rest)| rest);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
            std::fs::write(&path, text)
        };
        write().map_err(io(format!("cannot write {}", path.display())))?;
    }
    Ok(())
}

/// The demo at work on its project.
struct Demo<'a> {
    screen: &'a Screen,
    root: &'a Path,
    sandbox: &'a dyn Sandbox,
}

/// What a child run came to.
struct Ran {
    accepted: u64,
    rejected: u64,
    status: String,
    calls: u64,
    record: Json,
}

impl Demo<'_> {
    async fn first_run(&self) -> Result<(), DemoError> {
        let ran = self.run().await?;
        expect(ran.accepted == CUSTOMERS, "the first run did not deliver every customer")?;
        self.step(
            1,
            &format!("first run     {} customers", number(CUSTOMERS)),
            &ran.calls_text(),
            &ran.accepted_text(),
        )?;
        Ok(())
    }

    async fn no_change(&self) -> Result<(), DemoError> {
        let ran = self.run().await?;
        let compared = ran.count("rows");
        expect(ran.accepted == 0 && compared == CUSTOMERS, "an unchanged model was sent again")?;
        self.step(2, &format!("no change     {} compared", number(compared)), &ran.calls_text(), "")?;
        Ok(())
    }

    async fn change(&self, warehouse: &mut Warehouse) -> Result<(), DemoError> {
        let upgraded = warehouse
            .change("update customers set plan = 'pro' where customer_id in (select customer_id from customers where plan = 'free' order by customer_id limit 211)")
            .await?;
        let broken = warehouse
            .change("update customers set email = replace(email, '@', ' at ') where customer_id in (select customer_id from customers where plan = 'starter' order by customer_id limit 3)")
            .await?;
        warehouse.insert(CUSTOMERS + 1, 30).await?;
        let removed =
            warehouse.change("delete from customers where customer_id % 1667 = 5 and customer_id <= 20000").await?;
        let plan = self.json(&["plan", SYNC]).await?;
        let counts = &plan["plans"][0]["counts"];
        let of = |name: &str| counts[name].as_u64().unwrap_or(0);
        expect(
            of("changed") == upgraded + broken && of("added") == 30 && of("removed") == removed,
            "the plan is not what was changed",
        )?;
        let sample = &plan["plans"][0]["samples"][0];
        let now = sample["fields"]["plan"].as_str().unwrap_or("?");
        expect(sample["kind"] == "change" && now == "pro", "the plan does not show what was changed")?;
        let (changed, added) = (of("changed"), of("added"));
        self.step(3, &format!("you change {changed}, add {added}, remove {removed}; its plan:"), "", "")?;
        self.say(&format!("   ~ {changed}  plan: \"free\" → \"{now}\" …   + {added}   − {removed}"))
    }

    async fn refused(&self, warehouse: &mut Warehouse) -> Result<(), DemoError> {
        let ran = self.run().await?;
        expect(ran.rejected == 3 && ran.status == "partial", "the three broken addresses were not refused")?;
        let rejects = self.json(&["rejects", "list", SYNC]).await?;
        let code = rejects["rejects"][0]["code"].as_str().unwrap_or("?").to_owned();
        let detail = format!("✓ {} accepted   ✗ {} kept for next time ({code})", ran.accepted, ran.rejected);
        self.step(4, "HubSpot refuses 3 of them", &ran.calls_text(), &detail)?;
        warehouse
            .change("update customers set email = replace(email, ' at example.com', '@example.org') where email like '% at %'")
            .await?;
        let again = self.run().await?;
        expect(again.accepted == 3 && again.rejected == 0, "the repaired rows did not come again")?;
        self.step(0, "you repair them, the next run", &again.calls_text(), "✓ 3 accepted, and nothing else was sent")?;
        Ok(())
    }

    async fn killed(&self, warehouse: &mut Warehouse) -> Result<(), DemoError> {
        let changed = warehouse.change("update customers set city = 'Bremen' where customer_id % 4 = 0").await?;
        self.sandbox.set("latency", SLOW_MILLIS)?;
        let before = self.sandbox.calls();
        let mut child = self.command(&["run", SYNC]).spawn().map_err(io("cannot start this program again"))?;
        while self.sandbox.calls() < before + CALLS_BEFORE_KILL {
            if child.try_wait().map_err(io("cannot watch the child"))?.is_some() {
                return Err(DemoError::Broken("the run ended before it could be killed".into()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child.kill().await.map_err(io("cannot kill the child"))?;
        self.sandbox.set("latency", "0")?;
        let sent_before = self.sandbox.calls() - before;
        self.step(
            5,
            &format!("kill -9 in mid-delivery of {}", number(changed)),
            &format!("after {sent_before} requests"),
            "",
        )?;
        let ran = self.run().await?;
        let lost = self.differences(warehouse).await?;
        expect(lost == 0, &format!("{lost} customers differ between HubSpot and the warehouse"))?;
        self.step(0, "restart", &ran.calls_text(), "✓ HubSpot equals the warehouse, 0 lost")?;
        Ok(())
    }

    async fn emptied(&self, warehouse: &mut Warehouse) -> Result<(), DemoError> {
        warehouse.change("create table customers_kept as select * from customers").await?;
        let emptied = warehouse.change("delete from customers").await?;
        let ran = self.run().await?;
        let removals = ran.count("removed");
        expect(ran.status == "held" && ran.calls == 0 && removals == emptied, "an empty model was not held")?;
        let end = format!("HELD: {} removals, nothing sent", number(removals));
        self.step(6, "the model comes back empty", &ran.calls_text(), &end)?;
        warehouse.change("insert into customers select * from customers_kept").await?;
        warehouse.change("drop table customers_kept").await?;
        let held = ran.record["id"].as_str().unwrap_or_default().to_owned();
        let again = self.ran(&["replan", &held]).await?;
        let compared = again.count("rows");
        expect(again.status == "succeeded" && compared == emptied, "the repaired model was not compared")?;
        self.step(0, "you repair it: backhaul replan", &again.calls_text(), "✓ nothing to send")?;
        Ok(())
    }

    /// How many customers differ between the warehouse and the stand-in's own records.
    async fn differences(&self, warehouse: &mut Warehouse) -> Result<usize, DemoError> {
        let records = self.sandbox.records();
        let text = |record: &Json, name: &str| record[name].as_str().unwrap_or("").to_owned();
        let mut there: std::collections::HashSet<[String; 4]> = records["contacts"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values)
            .map(|record| ["customer_id", "email", "plan", "city"].map(|name| text(record, name)))
            .collect();
        let mut missing = 0;
        for row in warehouse.expected().await? {
            missing += usize::from(!there.remove(&row));
        }
        Ok(missing + there.len())
    }

    async fn run(&self) -> Result<Ran, DemoError> {
        self.ran(&["run", SYNC]).await
    }

    /// What a command that runs the sync came to.
    async fn ran(&self, command: &[&str]) -> Result<Ran, DemoError> {
        let before = self.sandbox.calls();
        let output = self.json(command).await?;
        // A run that was interrupted is finished first; what counts is the sum.
        let runs = output["runs"].as_array().cloned().unwrap_or_default();
        let sum = |name: &str| runs.iter().filter_map(|r| r["counts"][name].as_u64()).sum();
        let record = runs.last().cloned().ok_or_else(|| DemoError::Broken("the run left no record".into()))?;
        Ok(Ran {
            accepted: sum("accepted"),
            rejected: sum("rejected"),
            status: record["status"].as_str().unwrap_or("").to_owned(),
            calls: self.sandbox.calls() - before,
            record,
        })
    }

    fn say(&self, line: &str) -> Result<(), DemoError> {
        Ok(self.screen.print(line)?)
    }

    fn step(&self, place: u8, what: &str, calls: &str, end: &str) -> Result<(), DemoError> {
        let place = if place == 0 { String::from(" ") } else { place.to_string() };
        self.say(format!("{place}  {what:<42} {calls:>16}   {end}").trim_end())
    }

    fn command(&self, args: &[&str]) -> Command {
        // The path of this program cannot be unknown on the systems that backhaul supports.
        let program = std::env::current_exe().unwrap_or_else(|_| "backhaul".into());
        let mut command = Command::new(program);
        command.arg("--config").arg(self.root).args(args).args(["--output", "json"]);
        command.env_remove("BACKHAUL_CONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    async fn json(&self, args: &[&str]) -> Result<Json, DemoError> {
        let Output { status, stdout, stderr } =
            self.command(args).output().await.map_err(io("cannot start this program again"))?;
        serde_json::from_slice(&stdout).map_err(|_| {
            DemoError::Broken(format!(
                "`backhaul {}` ended with {status}:\n{}",
                args.join(" "),
                String::from_utf8_lossy(&stderr)
            ))
        })
    }
}

impl Ran {
    fn count(&self, name: &str) -> u64 {
        self.record["counts"][name].as_u64().unwrap_or(0)
    }

    fn calls_text(&self) -> String {
        format!("{} requests", number(self.calls))
    }

    fn accepted_text(&self) -> String {
        format!("✓ {} accepted", number(self.accepted))
    }
}

fn expect(holds: bool, otherwise: &str) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Broken(otherwise.to_owned())) }
}
