//! `backhaul plan --request KEY`: the exact request for one row, without its secrets.

use backhaul_kit::{Batch, RequestPreview, Run, find};
use serde_json::json;

use super::super::failure;
use crate::cli::screen::block;
use crate::cli::{Engine, Exit, Failure, Screen};
use crate::run::{Preview, Runs};

pub(super) fn show(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    preview: &Preview,
    key: &str,
) -> Result<(), Failure> {
    let sync = &preview.sync;
    let op = preview.plan.find(key).map_err(|e| failure(engine, &e.into()))?.ok_or_else(|| {
        Failure::usage(format!("the plan of `{}` has nothing for key {key}", sync.name))
            .remedy("a row that has not changed needs no request; composite keys are joined by commas")
    })?;
    let operation = preview.operation(op.kind).ok_or_else(|| {
        Failure::usage(format!("nothing is sent for key {key} of `{}`", sync.name))
            .remedy("the row changed in no mapped field, or the mapping refuses it: see `backhaul plan`")
    })?;
    let destination = sync.prepared.open(runs.kit().clone())?;
    let run = Run { id: String::from("preview"), sync: sync.name.clone(), rows: 1, started: jiff::Timestamp::now() };
    let Some(row) = preview.row(op) else {
        return Err(Failure::new(Exit::Failed, "this operation is not sent"));
    };
    let batch = Batch { operation, seq: 0, last: true, rows: vec![row] };
    let requests = find::preview(&*destination, &run, &batch)?;
    screen.show(&json!({ "sync": sync.name, "requests": requests }), |format| {
        let texts: Vec<String> = requests.iter().map(|request| block(&text(request), format)).collect();
        texts.join("\n\n")
    })
}

fn text(request: &RequestPreview) -> String {
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{} {}\n{headers}\n{}", request.method, request.target, request.body).trim_end().to_owned()
}
