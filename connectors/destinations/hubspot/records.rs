//! Finding and reading records that are there already.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use backhaul_kit::{Address, Fault, Found};
use serde_json::{Map, Value};

use super::draft::Target;
use super::send::HubSpotDestination;
use super::sync::MAX_INPUTS;
use super::wire::Record;
use super::{answer, values};

/// What a look-up by match value found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The id of its record.
    Found(String),
    /// HubSpot says that no record has it.
    Absent,
    /// The answer does not speak of it.
    Unclear,
}

impl HubSpotDestination {
    /// The records at these addresses, with the properties that the sync writes.
    pub(super) async fn read_addresses(&self, rows: &[Address]) -> Result<Vec<Found>, Fault> {
        let mut by_id = Vec::new();
        let mut by_value = Vec::new();
        for (place, address) in rows.iter().enumerate() {
            match (&address.remote_id, &address.match_value) {
                (Some(id), _) => by_id.push((place, id.as_str())),
                (None, Some(value)) => by_value.push((place, value.as_str())),
                (None, None) => {}
            }
        }
        let mut found = Vec::with_capacity(rows.len());
        self.read_records(None, &by_id, &mut found).await?;
        if let Some(property) = &self.sync.match_property {
            self.read_records(property.id_property(), &by_value, &mut found).await?;
        }
        Ok(found)
    }

    /// Replaces every match value by the id of its record; by `Absent` where there is none, and by `Unknown` where
    /// that is not clear.
    pub(super) async fn find(&self, targets: &mut [Target]) -> Result<(), Fault> {
        let values = match_values(targets);
        let found = self.resolve(&values).await?;
        for target in targets {
            if let Target::Value(value) = target {
                *target = match found.get(value.as_str()) {
                    Some(Resolution::Found(id)) => Target::Id(id.clone()),
                    Some(Resolution::Absent) => Target::Absent,
                    Some(Resolution::Unclear) | None => Target::Unknown,
                };
            }
        }
        Ok(())
    }

    /// The records that have these values of the match property.
    pub(super) async fn resolve(&self, values: &[String]) -> Result<HashMap<String, Resolution>, Fault> {
        let mut found = HashMap::with_capacity(values.len());
        let Some(property) = self.sync.match_property.as_ref().map(|property| property.name.as_str()) else {
            return Ok(found);
        };
        for chunk in values.chunks(MAX_INPUTS) {
            let wanted: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let got = self.read(self.read_call(Some(property), &wanted, &[property])?).await?;
            let parsed = answer::parse(&got).map_err(Fault::not_applied)?;
            let kept = |value: &str| values::kept(Some(property), value).into_owned();
            let ids: HashMap<String, &str> = parsed
                .results
                .iter()
                .filter_map(|record| Some((name_of(record, Some(property), &record.fields())?, record.id.as_str())))
                .collect();
            let not_found = parsed.errors.iter().filter(|error| error.category == answer::NOT_FOUND);
            let absent: HashSet<String> = not_found.flat_map(|error| error.context_texts("ids")).map(kept).collect();
            for value in chunk {
                let resolution = match ids.get(&kept(value)) {
                    Some(id) => Resolution::Found((*id).to_owned()),
                    None if absent.contains(&kept(value)) => Resolution::Absent,
                    None => Resolution::Unclear,
                };
                found.insert(value.clone(), resolution);
            }
        }
        Ok(found)
    }

    /// Reads records back in calls of [`MAX_INPUTS`]: `wanted` are places and ids (or values of `id_property`).
    async fn read_records(
        &self,
        id_property: Option<&str>,
        wanted: &[(usize, &str)],
        found: &mut Vec<Found>,
    ) -> Result<(), Fault> {
        let properties: Vec<&str> = self.sync.properties.iter().map(String::as_str).collect();
        for chunk in wanted.chunks(MAX_INPUTS) {
            let ids: Vec<&str> = chunk.iter().map(|(_, id)| *id).collect();
            let got = self.read(self.read_call(id_property, &ids, &properties)?).await?;
            let parsed = answer::parse(&got).map_err(Fault::not_applied)?;
            let places: HashMap<Cow<'_, str>, usize> =
                chunk.iter().map(|(place, id)| (values::kept(id_property, id), *place)).collect();
            for record in parsed.results {
                let fields = record.fields();
                let name = name_of(&record, id_property, &fields);
                if let Some(&place) = name.and_then(|name| places.get(name.as_str())) {
                    found.push(Found { address: place, remote_id: Some(record.id), fields });
                }
            }
        }
        Ok(())
    }
}

/// What a look-up calls a record: its id, or its value of `id_property` as HubSpot keeps it.
fn name_of(record: &Record<'_>, id_property: Option<&str>, fields: &Map<String, Value>) -> Option<String> {
    match id_property {
        None => Some(record.id.clone()),
        Some(property) => Some(values::kept(id_property, fields.get(property)?.as_str()?).into_owned()),
    }
}

/// The match values to look up, each once.
pub(super) fn match_values(targets: &[Target]) -> Vec<String> {
    let mut values: Vec<String> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Value(value) => Some(value.clone()),
            Target::Id(_) | Target::Absent | Target::Unknown => None,
        })
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}
