//! Finding and reading records that are there already.

use std::collections::{BTreeSet, HashMap};

use backhaul_kit::json::{items, text};
use backhaul_kit::{Address, Batch, Fault, FieldRef, Found, Lookup, Match, Reason};
use serde_json::Value;

use super::answer::NOT_FOUND;
use super::draft::Target;
use super::object::{ObjectType, RECORD_ID};
use super::send::HubSpotDestination;
use super::sync::MAX_INPUTS;
use super::values;
use super::wire::texts;

/// Records by the names that they were asked for: ids, or values of a property as HubSpot keeps them. `None` is a name
/// that no record has; of one that is missing the answers do not speak.
type Records = HashMap<String, Option<Value>>;

/// Why records of an object cannot be found by a property, else the scope that it takes. Whether the property's values
/// are unique only the account knows: HubSpot refuses to look up by others.
pub(super) fn check_lookup(object: &str, by: &str) -> Result<Vec<String>, String> {
    let parsed = ObjectType::parse(object).ok_or_else(|| format!("has no object \"{object}\""))?;
    if by == RECORD_ID {
        return Err(format!("looks nothing up by `{RECORD_ID}`: that is the id already"));
    }
    Ok(vec![parsed.read_scope()])
}

impl HubSpotDestination {
    /// The records of these names, 100 a call (`batch/read`). HubSpot keeps the values of a unique property apart, so
    /// each has one record at most.
    async fn records(
        &self,
        object: &ObjectType,
        by: Option<&str>,
        names: BTreeSet<String>,
        properties: &[&str],
    ) -> Result<Records, Fault> {
        let (names, mut records): (Vec<String>, _) = (names.into_iter().collect(), Records::new());
        for chunk in names.chunks(MAX_INPUTS) {
            let json = self.read(self.read_call(object, by, chunk, properties)?).await?;
            let absent = items(&json["errors"]).filter(|error| error["category"] == NOT_FOUND);
            let absent = absent.flat_map(|error| texts(&error["context"]["ids"]));
            records.extend(absent.map(|name| (values::kept(by, name).into_owned(), None)));
            for record in items(&json["results"]).filter(|record| record["id"].is_string()) {
                let name = by.map_or(&record["id"], |property| &record["properties"][property]);
                records.extend(name.as_str().map(|name| (values::kept(by, name).into_owned(), Some(record.clone()))));
            }
        }
        Ok(records)
    }

    /// The records that have these values of a unique property.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let object = ObjectType::parse(&query.object);
        let object = object.ok_or_else(|| Fault::bug("a look-up of an object that was not checked"))?;
        let name = |value| {
            let text = values::text(FieldRef::Set(value)).map_err(|Reason { code, .. }| Fault::bug(code))?;
            Ok(values::kept(Some(&query.by), &text.unwrap_or_default()).into_owned())
        };
        let names: Vec<String> = query.values.iter().map(|value| name(value.into())).collect::<Result<_, Fault>>()?;
        // An empty value is the same as none, which no record has.
        let asked = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let records = self.records(&object, Some(&query.by), asked, &[&query.by]).await?;
        let mut matches = Vec::new();
        for (value, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let unclear = || Fault::transient("HubSpot's answer leaves out a value that was looked up");
            let record = records.get(name).ok_or_else(unclear)?;
            matches.extend(record.iter().map(|record| Match { value, remote_id: text(record, "id").to_owned() }));
        }
        Ok(matches)
    }

    /// The records at these addresses, with the properties that the sync writes.
    pub(super) async fn read_addresses(&self, rows: &[Address]) -> Result<Vec<Found>, Fault> {
        let (sync, mut found) = (&self.sync, Vec::new());
        let properties: Vec<&str> = sync.properties.iter().map(String::as_str).collect();
        let targets: Vec<Target> = rows.iter().map(|address| Target::remembered(sync, address)).collect();
        let property = sync.match_property.as_ref().and_then(|property| property.id_property());
        for by in BTreeSet::from([None, property]) {
            let name = |target: &Target| match target {
                Target::Id(id) if by.is_none() => Some(id.clone()),
                Target::Value(value) if by.is_some() => Some(values::kept(by, value).into_owned()),
                _ => None,
            };
            let records =
                self.records(&sync.object, by, targets.iter().filter_map(name).collect(), &properties).await?;
            for (address, target) in targets.iter().enumerate() {
                let Some(Some(record)) = name(target).and_then(|name| records.get(&name)) else { continue };
                let fields = record["properties"].as_object().cloned().unwrap_or_default();
                found.push(Found { address, remote_id: Some(text(record, "id").to_owned()), fields });
            }
        }
        Ok(found)
    }

    /// Replaces every match value by the id of its record, and by `Absent` where there is none; it stays where the
    /// answer does not speak of it.
    pub(super) async fn find(&self, targets: &mut [Target]) -> Result<(), Fault> {
        let Some(property) = &self.sync.match_property else { return Ok(()) };
        let by = Some(property.name.as_str());
        let records = self.records(&self.sync.object, by, match_values(targets), &[&property.name]).await?;
        for target in targets {
            let Target::Value(value) = target else { continue };
            match records.get(&*values::kept(by, value)) {
                Some(Some(record)) => *target = Target::Id(text(record, "id").to_owned()),
                Some(None) => *target = Target::Absent,
                None => {}
            }
        }
        Ok(())
    }

    /// Looks for moved records under their old values, then under the present ones: a repeated move finds them there.
    pub(super) async fn find_moved(&self, batch: &Batch, targets: &mut [Target]) -> Result<(), Fault> {
        self.find(targets).await?;
        let Some(property) = &self.sync.match_property else { return Ok(()) };
        let mut moved = vec![Target::Unknown; targets.len()];
        for ((row, target), moved) in batch.rows.iter().zip(&*targets).zip(&mut moved) {
            let value = row.fields.get(property.place).and_then(|field| values::text(field).ok().flatten());
            if let (false, Some(value)) = (matches!(target, Target::Id(_)), value) {
                *moved = Target::Value(value.into_owned());
            }
        }
        self.find(&mut moved).await?;
        for (target, moved) in targets.iter_mut().zip(moved) {
            // Under the old value it may be there and not be read: only a record that is found is another word.
            if *target == Target::Absent || matches!(moved, Target::Id(_)) {
                *target = moved;
            }
        }
        Ok(())
    }
}

/// The match values to look up, each once.
pub(super) fn match_values(targets: &[Target]) -> BTreeSet<String> {
    let value = |target: &Target| if let Target::Value(value) = target { Some(value.clone()) } else { None };
    targets.iter().filter_map(value).collect()
}
