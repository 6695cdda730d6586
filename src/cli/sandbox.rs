//! `backhaul sandbox`: a stand-in of a vendor's API until Ctrl-C.

use std::net::Ipv4Addr;
use std::time::Duration;

use backhaul_kit::SandboxKind;
use backhaul_kit::config::{nearest, parse_duration};
use serde_json::json;
use tokio::net::TcpListener;

use super::screen::{Format, number, plural};
use super::{Exit, Failure, Screen};
use crate::daemon::Shutdown;

const EXAMPLES: &str = "\
Examples:
  backhaul sandbox hubspot                        on a free port
  backhaul sandbox hubspot --port 8080 --set KEY=VALUE
  backhaul sandbox hubspot --reject 1% --latency 200ms --expire-token 60s

It listens on this machine only, keeps its records in memory, and stops with Ctrl-C. What can be set: \
`backhaul connectors show VENDOR`.";

/// Start a stand-in of a vendor's API on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The vendor
    #[arg(value_name = "VENDOR")]
    vendor: String,
    /// The port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Refuse this share of the rows, always the same ones, as 1%
    #[arg(long, value_name = "PERCENT")]
    reject: Option<String>,
    /// Wait before every answer, as 200ms
    #[arg(long, value_name = "DURATION", value_parser = lasts)]
    latency: Option<Duration>,
    /// Let its credential expire after this, and after that again, as 60s
    #[arg(long, value_name = "DURATION", value_parser = lasts)]
    expire_token: Option<Duration>,
    /// Change how it behaves
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(String::from("write KEY=VALUE")),
    }
}

fn lasts(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| String::from("write a time, as 200ms or 60s"))
}

pub(super) async fn sandbox(screen: &Screen, args: &Args) -> Result<Exit, Failure> {
    let kinds: Vec<&'static dyn SandboxKind> =
        backhaul_connectors::destinations().iter().filter_map(|kind| Some((kind.sandbox?)())).collect();
    let kind = find(&kinds, &args.vendor)?;
    let mut shutdown =
        Shutdown::on_signals().map_err(|e| Failure::new(Exit::Failed, format!("cannot listen for Ctrl-C: {e}")))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|e| {
        Failure::new(Exit::Failed, format!("cannot listen on port {}: {e}", args.port))
            .remedy("leave out --port to take a free one")
    })?;
    let told = args.latency.map(|latency| (String::from("latency"), latency.as_millis().to_string()));
    let refused = args.reject.clone().map(|share| (String::from("reject"), share));
    let settings: Vec<(String, String)> = args.settings.iter().cloned().chain(told).chain(refused).collect();
    let running = kind.start(listener, &settings).await?;
    let (url, token) = (running.url(), running.token());
    let vendor = kind.name();
    let table = format!("[destinations.sandbox]\ntype = \"{vendor}\"\nbase_url = \"{url}\"\n{}", running.account());
    let variable = format!("export BACKHAUL_SECRET_SANDBOX='{token}'");
    let look = format!("curl {url}/sandbox/records");
    screen.show(
        &json!({ "vendor": vendor, "url": url, "token": token, "destination": table }),
        |format| match format {
            Format::Markdown => {
                format!("- url: `{url}`\n- token: `{token}`\n\n```toml\n{table}```\n\n```sh\n{variable}\n{look}\n```")
            }
            _ => format!(
                "url    {url}\ntoken  {token}\n\nin backhaul.toml:\n{table}\nin the shell:\n{variable}\n\n\
                 what it has received:\n{look}\n"
            ),
        },
    )?;
    screen.note(&format!("a stand-in of {vendor} is listening; Ctrl-C stops it"));
    loop {
        let expires = async {
            match args.expire_token {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = shutdown.wait() => break,
            () = expires => {
                running.expire();
                screen.note(&format!("the credential has expired; now: {}", running.token()));
            }
        }
    }
    screen.note(&format!("{} answered{}", plural(running.calls(), "call"), received(&running.records())));
    Ok(Exit::Ok)
}

/// What it holds in the end: `; contacts: 20,000`.
fn received(records: &serde_json::Value) -> String {
    let objects = records.as_object().into_iter().flatten();
    let count = |records: &serde_json::Value| match records {
        serde_json::Value::Object(records) => records.len(),
        serde_json::Value::Array(records) => records.len(),
        _ => 0,
    };
    let counted = objects.map(|(object, records)| (object, count(records))).filter(|(_, count)| *count > 0);
    counted.map(|(object, count)| format!("; {object}: {}", number(count as u64))).collect()
}

fn find(kinds: &[&'static dyn SandboxKind], vendor: &str) -> Result<&'static dyn SandboxKind, Failure> {
    if let Some(kind) = kinds.iter().find(|kind| kind.name() == vendor) {
        return Ok(*kind);
    }
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let failure = Failure::usage(format!("there is no stand-in of \"{vendor}\""));
    Err(match nearest(vendor, names.iter().copied()) {
        Some(near) => failure.remedy(format!("did you mean \"{near}\"?")),
        None if names.is_empty() => failure,
        None => failure.remedy(format!("there are: {}", names.join(", "))),
    })
}
