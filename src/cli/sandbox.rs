//! `backhaul sandbox`: a stand-in of a vendor's API until Ctrl-C.

use std::net::Ipv4Addr;

use backhaul_kit::SandboxKind;
use backhaul_kit::config::nearest;
use serde_json::json;
use tokio::net::TcpListener;

use super::screen::{Format, plural};
use super::{Exit, Failure, Screen};
use crate::daemon::Shutdown;

const EXAMPLES: &str = "\
Examples:
  backhaul sandbox hubspot                        on a free port
  backhaul sandbox hubspot --port 8080 --set KEY=VALUE

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

pub(super) async fn sandbox(screen: &Screen, args: &Args) -> Result<Exit, Failure> {
    let kinds: Vec<&'static dyn SandboxKind> =
        backhaul_connectors::destinations().iter().filter_map(|kind| kind.sandbox()).collect();
    let kind = find(&kinds, &args.vendor)?;
    let mut shutdown =
        Shutdown::on_signals().map_err(|e| Failure::new(Exit::Failed, format!("cannot listen for Ctrl-C: {e}")))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|e| {
        Failure::new(Exit::Failed, format!("cannot listen on port {}: {e}", args.port))
            .remedy("leave out --port to take a free one")
    })?;
    let running = kind.start(listener, &args.settings).await?;
    let (url, token) = (running.url(), running.token());
    screen.show(&json!({ "vendor": kind.name(), "url": url, "token": token }), |format| match format {
        Format::Markdown => format!("- url: `{url}`\n- token: `{token}`"),
        _ => format!("url    {url}\ntoken  {token}"),
    })?;
    screen.note(&format!("a stand-in of {} is listening; Ctrl-C stops it", kind.name()));
    shutdown.wait().await;
    screen.note(&format!("{} answered", plural(running.calls(), "call")));
    Ok(Exit::Ok)
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
