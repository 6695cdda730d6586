//! Jobs of Bulk API 2.0.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::store::{Objects, Row};
use crate::csv::{self, CsvLine};
use crate::destinations::stand_in::{Rejects, take};

/// One job.
#[derive(Debug, Default)]
struct Job {
    object: String,
    verb: String,
    external: String,
    state: &'static str,
    file: Vec<u8>,
    /// Successful, failed, unprocessed.
    results: [Vec<u8>; 3],
    counts: [u64; 2],
}

/// All jobs that are remembered.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: BTreeMap<String, Job>,
    made: usize,
    /// Whether jobs that were begun do not end.
    pub(super) stuck: bool,
    /// How many of the next jobs fail half-way.
    pub(super) fail_next: u64,
    /// How many of the next rows are in no results.
    pub(super) drop_rows: u64,
}

impl Jobs {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Makes a job; `None` where something is missing.
    pub(super) fn create(&mut self, asked: &Value) -> Option<Value> {
        let text = |name: &str| asked[name].as_str().map(str::to_owned);
        let (object, verb) = (text("object")?, text("operation")?);
        let external = text("externalIdFieldName").or_else(|| (verb != "upsert").then(String::new))?;
        let fits = text("contentType")? == "CSV" && text("lineEnding")? == "LF" && text("columnDelimiter")? == "COMMA";
        let id = format!("750{:015}", self.made);
        self.made += 1;
        self.all.insert(id.clone(), Job { object, verb, external, state: "Open", ..Job::default() });
        self.info(&id).filter(|_| fits)
    }

    /// How a job stands.
    pub(super) fn info(&self, id: &str) -> Option<Value> {
        let Job { object, verb, state, counts: [processed, failed], .. } = self.all.get(id)?;
        Some(json!({
            "id": id, "object": object, "operation": verb, "state": state,
            "contentUrl": format!("services/data/v67.0/jobs/ingest/{id}/batches"),
            "numberRecordsProcessed": processed, "numberRecordsFailed": failed
        }))
    }

    /// Takes the file of an open job, once.
    pub(super) fn upload(&mut self, id: &str, file: &[u8]) -> Option<()> {
        let job = self.all.get_mut(id).filter(|job| job.state == "Open" && job.file.is_empty())?;
        job.file = file.to_vec();
        Some(())
    }

    /// Closes a job, or calls it off.
    pub(super) fn change(&mut self, id: &str, state: &str) -> Option<Value> {
        let job = self.all.get_mut(id)?;
        job.state = match (job.state, state) {
            ("Open" | "UploadComplete", "UploadComplete") => "UploadComplete",
            ("Open" | "UploadComplete" | "InProgress" | "Aborted", "Aborted") => "Aborted",
            _ => return None,
        };
        if state == "Aborted" {
            job.results[2].clone_from(&job.file);
        }
        self.info(id)
    }

    /// One of a job's results: `None` before it has ended.
    pub(super) fn results(&self, id: &str, name: &str) -> Option<Vec<u8>> {
        let job = self.all.get(id).filter(|job| ["JobComplete", "Failed", "Aborted"].contains(&job.state))?;
        let names = ["successfulResults", "failedResults", "unprocessedrecords"];
        job.results.get(names.iter().position(|known| *known == name)?).cloned()
    }

    /// Works on a job that is asked after.
    pub(super) fn work(&mut self, id: &str, objects: &mut Objects, rejects: &Rejects) {
        let is_begun = |job: &&mut Job| ["UploadComplete", "InProgress"].contains(&job.state);
        let Some(job) = self.all.get_mut(id).filter(is_begun) else { return };
        if self.stuck {
            job.state = "InProgress";
            return;
        }
        let fails = take(&mut self.fail_next);
        job.process(objects, rejects, fails, &mut self.drop_rows);
        job.state = if fails { "Failed" } else { "JobComplete" };
    }
}

impl Job {
    fn process(&mut self, objects: &mut Objects, rejects: &Rejects, fails: bool, drop_rows: &mut u64) {
        let (head, rows) = csv::table(&self.file).unwrap_or_default();
        let most = if fails { rows.len() / 2 } else { rows.len() };
        self.results = [&["sf__Id", "sf__Created"][..], &["sf__Id", "sf__Error"], &[]].map(|more| {
            let mut out = Vec::new();
            CsvLine::write(&mut out, more.iter().copied().chain(head.iter().map(String::as_str)));
            out
        });
        // Results are in no order that one could count on.
        for (number, row) in rows.iter().enumerate().rev() {
            let values = row.iter().map(|value| value.as_deref().unwrap_or_default());
            if number >= most {
                CsvLine::write(&mut self.results[2], values);
                continue;
            }
            // What is empty, in quotes or not, leaves the field.
            let cells = head.iter().zip(row).filter_map(|(name, value)| Some((name.clone(), value.as_ref()?)));
            let cells = cells.filter(|(_, text)| !text.is_empty());
            let record: Row =
                cells.map(|(name, text)| (name, if text == "#N/A" { Value::Null } else { json!(text) })).collect();
            let said = objects.write(&self.object, &self.verb, &self.external, record, rejects);
            if take(drop_rows) {
                continue;
            }
            let (place, words) = match said {
                Ok((id, created)) => (0, [id, created.to_string()]),
                Err((code, text, field)) => {
                    (1, [String::new(), format!("{code}:{text}:{} --", field.unwrap_or_default())])
                }
            };
            self.counts[0] += 1;
            self.counts[1] += place as u64;
            CsvLine::write(&mut self.results[place], words.iter().map(String::as_str).chain(values));
        }
    }
}
