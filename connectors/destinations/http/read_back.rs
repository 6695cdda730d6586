//! `[into.read_back]`: asking the API whether a row whose answer was lost is there.

use backhaul_kit::config::{ConfigTable, Problem, Span};
use backhaul_kit::http::{Answer, Request, fault_of_status};
use backhaul_kit::{Batch, Fault, Presence, Row, Run};
use reqwest::Method;
use serde_json::Value as Json;

use super::account::check_path;
use super::request::read_statuses;
use super::success::{Flag, Path, flag, path};
use super::sync::HttpSync;
use super::template::{Escape, Names, ROW_VARIABLES, Template};

/// One question a row.
#[derive(Debug)]
pub(super) struct ReadBack {
    url: Template,
    /// Set where an answer with a status of success shows the row; none means always.
    found: Option<Flag>,
    absent: Vec<u16>,
    id: Option<Path>,
}

impl ReadBack {
    /// Reads the table; problems go to it.
    pub(super) fn read(mut table: ConfigTable, names: &Names) -> Option<Self> {
        let url = read_url(&mut table, names);
        let found = flag(&mut table, "found");
        let absent = read_statuses(&mut table, "absent_statuses").unwrap_or_else(|| vec![404]);
        let id = path(&mut table, "id");
        table.finish();
        Some(Self { url: url?, found, absent, id })
    }

    /// The request that asks for a row; `None` for one whose values make no URL.
    pub(super) fn question(&self, sync: &HttpSync, run: &Run, batch: &Batch, row: &Row) -> Option<Request> {
        let url = self.url.render(&sync.names.of_row(run, batch, row)).ok()?;
        let mut request = Request::new(Method::GET, sync.account.join(&url)?);
        request.headers = sync.account.headers.clone();
        Some(request)
    }

    /// What the answer says of the row.
    pub(super) fn presence(&self, answer: &Answer) -> Result<Presence, Fault> {
        if self.absent.contains(&answer.status.as_u16()) {
            return Ok(Presence::Absent);
        }
        if let Some(fault) = fault_of_status(answer) {
            return Err(fault);
        }
        if self.found.is_none() && self.id.is_none() {
            return Ok(Presence::There { remote_id: None });
        }
        let Ok(json) = serde_json::from_slice::<Json>(&answer.body) else { return Ok(Presence::Unknown) };
        Ok(match &self.found {
            Some(found) if !found.is_set(&json) => Presence::Absent,
            _ => Presence::There { remote_id: self.id.as_ref().and_then(|id| id.text(&json)) },
        })
    }
}

fn read_url(table: &mut ConfigTable, names: &Names) -> Option<Template> {
    let (text, span) = table.required_text_at("url")?;
    if !check_path(table, "url", &text, &span) {
        return None;
    }
    let refuse = |span: &Span, what: String| {
        let message = format!("`{}` {what}", table.path_of("url"));
        let remedy = "as \"/customers/{{ key }}\"; a field is fields.NAME";
        table.problems().push(Problem::error("bad-template", message).at(span).remedy(remedy));
        None
    };
    match Template::compile(&text, Escape::Url) {
        Err(what) => refuse(&span, format!("is not a template: {what}")),
        Ok(template) if !template.foreign(ROW_VARIABLES).is_empty() => {
            refuse(&span, format!("reads `{}`, which is not there", template.foreign(ROW_VARIABLES).join("`, `")))
        }
        Ok(template) if !["key", "keys", "fields", "match_value"].iter().any(|name| template.reads(name)) => {
            refuse(&span, String::from("does not say which row is asked for"))
        }
        Ok(template) => match template.try_out(&names.sample(1)) {
            Err(what) => refuse(&span, format!("cannot be rendered: {what}")),
            Ok(_) => Some(template),
        },
    }
}
