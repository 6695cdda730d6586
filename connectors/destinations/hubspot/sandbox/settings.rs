//! What the stand-in can be told beside what all can be.

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_kit::Fault;

use super::Account;
use super::property::Property;
use crate::destinations::stand_in::{Setting, Told};

/// Every setting, with one line each.
pub(super) const SETTINGS: &[Setting] = &[
    ("hub_id", "the account's id"),
    ("scopes", "what the token may do, separated by commas; `all` for everything"),
    ("objects", "custom objects to add, as `2-100=machine`, separated by commas"),
    ("properties", "properties to add, as `contacts.plan:enumeration:free|pro,contacts.customer_id:string:unique`"),
    ("per_ten_seconds", "the limit of any 10 seconds; 0 for none"),
    ("per_day", "calls let through in all, as a daily limit; 0 for no limit"),
    (
        "reject",
        "values to refuse, as `INVALID_OWNER:owner=7`, separated by commas, or a share of the rows, as `1%`; empty for none",
    ),
];

/// The objects whose scopes `all` grants.
const SCOPED: [&str; 4] = ["contacts", "companies", "deals", "custom"];

/// As [`StandIn::set`](crate::destinations::stand_in::StandIn::set).
pub(super) fn set(account: &mut Account, told: Told<'_>) -> Result<bool, Fault> {
    match told.key {
        "hub_id" => account.hub_id = told.number()?,
        "scopes" if told.value == "all" => account.scopes = every_scope(),
        "scopes" => account.scopes = told.texts(),
        "objects" => {
            for item in told.items() {
                let (id, name) = item.split_once('=').ok_or_else(|| told.wrong(item))?;
                account.store.add_object(id, name, account.hub_id).ok_or_else(|| told.wrong(item))?;
            }
        }
        "properties" => {
            for item in told.items() {
                let (object, property) = item.split_once('.').ok_or_else(|| told.wrong(item))?;
                let object = account.store.object_mut(object).ok_or_else(|| told.wrong(item))?;
                let property = Property::read(property).ok_or_else(|| told.wrong(item))?;
                object.add_property(property).ok_or_else(|| told.wrong(item))?;
            }
        }
        "per_ten_seconds" => account.common.window.limit(told.number()?, Duration::from_secs(10)),
        "per_day" => (account.per_day, account.of_day) = (told.number()?, 0),
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn every_scope() -> BTreeSet<String> {
    let kinds = ["objects", "schemas"].into_iter().flat_map(|kind| ["read", "write"].map(|verb| (kind, verb)));
    let of = |object: &'static str| move |(kind, verb)| format!("crm.{kind}.{object}.{verb}");
    SCOPED.into_iter().flat_map(|object| kinds.clone().map(of(object))).chain([String::from("oauth")]).collect()
}
