//! Records of any object, found for rows that refer to them.

use std::collections::HashMap;

use backhaul_kit::{Fault, FieldRef, Lookup, Match, Reason};

use super::object::{ObjectType, RECORD_ID};
use super::records::Resolution;
use super::send::HubSpotDestination;
use super::sync::{HubSpotSync, MatchProperty};
use super::values;

/// Why records of an object cannot be found by a property, else the scope that it takes. Whether the property's values
/// are unique only the account knows: HubSpot refuses to look up by others.
pub(super) fn check(object: &str, by: &str) -> Result<Vec<String>, String> {
    let parsed = ObjectType::parse(object).ok_or_else(|| format!("has no object \"{object}\""))?;
    if by == RECORD_ID {
        return Err(format!("looks nothing up by `{RECORD_ID}`: that is the id already"));
    }
    Ok(vec![parsed.read_scope()])
}

impl HubSpotDestination {
    /// The records that have these values of a unique property, 100 a call (`batch/read`). HubSpot keeps such values
    /// apart, so each has one record at most.
    pub(super) async fn look_up(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let object = ObjectType::parse(&query.object);
        let object = object.ok_or_else(|| Fault::bug("a look-up of an object that was not checked"))?;
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, value) in query.values.iter().enumerate() {
            let text = values::text(FieldRef::Set(value.into())).map_err(|Reason { code, .. }| Fault::bug(code))?;
            // An empty value is the same as none, which no record has.
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                places.entry(values::kept(Some(&query.by), &text).into_owned()).or_default().push(place);
            }
        }
        let match_property = Some(MatchProperty { place: 0, name: query.by.clone() });
        let there = Self::new(HubSpotSync { object, match_property, ..self.sync.clone() }, self.http.clone());
        let wanted: Vec<String> = places.keys().cloned().collect();
        let found = there.resolve(&wanted).await?;
        let mut matches = Vec::with_capacity(found.len());
        for (value, resolution) in found {
            match resolution {
                Resolution::Found(id) => {
                    let of_value = places.get(&value).into_iter().flatten();
                    matches.extend(of_value.map(|place| Match { value: *place, remote_id: id.clone() }));
                }
                Resolution::Absent => {}
                Resolution::Unclear => {
                    return Err(Fault::transient("HubSpot's answer leaves out a value that was looked up"));
                }
            }
        }
        Ok(matches)
    }
}
