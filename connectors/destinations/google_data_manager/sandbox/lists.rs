//! Requests, and the members that they make.

use std::collections::BTreeMap;
use std::time::Duration;

use backhaul_kit::json::{items, text};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::destinations::stand_in::{Rejects, take};

/// Members of a call, and identifiers of each.
const MAX_MEMBERS: usize = 10_000;
const MAX_IDENTIFIERS: usize = 10;

/// Lists by their ids, requests by their numbers.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// How long a request is worked on.
    pub(super) processing: Duration,
    /// How many of the next requests are worked on for ever.
    pub(super) stuck: u64,
    /// Hashes of members that are dropped then, and why.
    pub(super) drop: Vec<String>,
    pub(super) drop_reason: String,
    /// Identifiers, as JSON, with the consent that they came with.
    members: BTreeMap<String, BTreeMap<String, Value>>,
    requests: Vec<Request>,
    forgotten: usize,
}

/// A request that was taken in.
#[derive(Debug)]
struct Request {
    adds: bool,
    destination: Value,
    consent: Value,
    members: Vec<Vec<String>>,
    /// `None` for one that is stuck.
    due: Option<Instant>,
    /// Once it was worked on: how many members were dropped, and why.
    done: Option<(usize, String)>,
}

/// What is wrong with a member: the field within it, the reason and the words.
pub(super) type Wrong = (String, &'static str, String);

impl Lists {
    /// None.
    pub(super) fn new() -> Self {
        Self { drop_reason: String::from("INVALID_FORMAT"), ..Self::default() }
    }

    /// Takes a request in; gives its number.
    pub(super) fn take_in(&mut self, adds: bool, body: &Value) -> String {
        let due = (!take(&mut self.stuck)).then(|| Instant::now() + self.processing);
        let members = items(&body["audienceMembers"]);
        self.requests.push(Request {
            adds,
            destination: body["destinations"][0].clone(),
            consent: body["consent"].clone(),
            members: members.map(|member| identifiers(member).map(Value::to_string).collect()).collect(),
            due,
            done: None,
        });
        format!("request-{}", self.requests.len())
    }

    /// Works on what is due, in order.
    pub(super) fn work(&mut self) {
        let now = Instant::now();
        for request in self.requests.iter_mut().filter(|request| request.done.is_none()) {
            if request.due.is_none_or(|due| due > now) {
                continue;
            }
            let list = text(&request.destination, "productDestinationId");
            let list = self.members.entry(list.to_owned()).or_default();
            let mut dropped = 0;
            for member in &request.members {
                if self.drop.iter().any(|hash| member.iter().any(|identifier| identifier.contains(hash))) {
                    dropped += 1;
                } else if request.adds {
                    list.extend(member.iter().map(|identifier| (identifier.clone(), request.consent.clone())));
                } else {
                    list.retain(|identifier, _| !member.contains(identifier));
                }
            }
            request.done = Some((dropped, self.drop_reason.clone()));
        }
    }

    /// How a request stands; `None` for a number that is not known.
    pub(super) fn status(&self, id: &str) -> Option<Value> {
        let number: usize = id.strip_prefix("request-")?.parse().ok()?;
        let request = self.requests.get(number.checked_sub(1)?).filter(|_| number > self.forgotten)?;
        let mut status = json!({ "destination": request.destination });
        let Some((dropped, reason)) = &request.done else {
            let word = if request.due.is_some() { "PROCESSING" } else { "REQUEST_STATUS_UNKNOWN" };
            status["requestStatus"] = word.into();
            return Some(json!({ "requestStatusPerDestination": [status] }));
        };
        let all = request.members.len();
        let word = match *dropped {
            0 => "SUCCESS",
            some if some < all => "PARTIAL_SUCCESS",
            _ => "FAILED",
        };
        status["requestStatus"] = word.into();
        if *dropped > 0 {
            let reason = format!("PROCESSING_ERROR_REASON_{reason}");
            status["errorInfo"] = json!({ "errorCounts": [{ "recordCount": dropped.to_string(), "reason": reason }] });
        }
        let counts = json!({
            "recordCount": all.to_string(),
            "userIdentifierCount": request.members.iter().map(Vec::len).sum::<usize>().to_string()
        });
        let (outer, inner) = match request.adds {
            true => ("audienceMembersIngestionStatus", "userDataIngestionStatus"),
            false => ("audienceMembersRemovalStatus", "userDataRemovalStatus"),
        };
        status[outer][inner] = counts;
        Some(json!({ "requestStatusPerDestination": [status] }))
    }

    /// Makes all requests due.
    pub(super) fn hurry(&mut self) {
        self.requests.iter_mut().for_each(|request| request.due = Some(Instant::now()));
    }

    /// Forgets the numbers of all requests.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.requests.len();
    }

    /// Object → id → members: each identifier with its consent.
    pub(super) fn records(&self) -> Value {
        let lists: Map<String, Value> = self.members.iter().map(|(id, members)| (id.clone(), json!(members))).collect();
        json!({ "user_lists": lists })
    }
}

fn identifiers(member: &Value) -> impl Iterator<Item = &Value> {
    items(&member["userData"]["userIdentifiers"])
}

/// What is wrong with each member, by its place.
pub(super) fn judge(members: &[Value], rejects: &Rejects) -> Vec<(usize, Wrong)> {
    let wrong = members.iter().enumerate().filter_map(|(place, member)| Some((place, wrong(member, rejects)?)));
    wrong.collect()
}

/// Whether a call has too many members.
pub(super) fn too_many(members: &[Value]) -> bool {
    members.len() > MAX_MEMBERS
}

fn wrong(member: &Value, rejects: &Rejects) -> Option<Wrong> {
    let all: Vec<&Value> = identifiers(member).collect();
    if all.is_empty() || all.len() > MAX_IDENTIFIERS {
        let reason = if all.is_empty() { "NO_IDENTIFIERS_PROVIDED" } else { "TOO_MANY_USER_IDENTIFIERS" };
        return Some((String::from("user_data.user_identifiers"), reason, String::from("from 1 to 10 identifiers")));
    }
    all.iter().enumerate().find_map(|(place, identifier)| {
        let mut hashed: Vec<(&str, &Value)> = Vec::new();
        let field = |name: &str| format!("user_data.user_identifiers[{place}].{name}");
        for (name, value) in
            [("email_address", &identifier["emailAddress"]), ("phone_number", &identifier["phoneNumber"])]
        {
            hashed.extend((!value.is_null()).then_some((name, value)));
        }
        let address = &identifier["address"];
        if !address.is_null() {
            hashed.extend([
                ("address.given_name", &address["givenName"]),
                ("address.family_name", &address["familyName"]),
            ]);
            let region = text(address, "regionCode");
            if region.len() != 2 || !region.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Some((field("address.region_code"), "INVALID_REGION_CODE", String::from("not two letters")));
            }
            if address["postalCode"].as_str().is_none_or(str::is_empty) {
                return Some((field("address.postal_code"), "INVALID_POSTAL_CODE", String::from("there is none")));
            }
        }
        hashed.into_iter().find_map(|(name, value)| {
            let hash = value.as_str().unwrap_or_default();
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Some((field(name), "INVALID_SHA256_FORMAT", String::from("not a hash")));
            }
            let refused = rejects.has("", hash) || rejects.picks(hash);
            refused.then(|| (field(name), "INVALID_AUDIENCE_MEMBER", String::from("refused as the stand-in was told")))
        })
    })
}
