//! The customers of the account, and the index of the search, which lags.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::form::{Params, metadata_key};

/// A customer; none of its values is empty.
#[derive(Clone, Debug)]
struct Customer {
    created: i64,
    values: Params,
}

/// All customers, in the order in which they were made; `None` for deleted ones.
#[derive(Debug, Default)]
pub(super) struct Customers {
    all: Vec<Option<Customer>>,
    /// What the search knows.
    indexed: BTreeMap<usize, Customer>,
    /// The places in it of each parameter and its value in lower case.
    by_value: HashMap<(String, String), BTreeSet<usize>>,
    /// What it will know, and since when it could; `None` for a deletion.
    coming: VecDeque<(Instant, usize, Option<Customer>)>,
}

impl Customers {
    /// The place of an id, also of a deleted customer.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        let place: usize = id.strip_prefix("cus_sandbox")?.parse().ok()?;
        (place < self.all.len()).then_some(place)
    }

    /// The values of a customer; `None` of a deleted one.
    pub(super) fn values(&self, place: usize) -> Option<&Params> {
        self.all.get(place)?.as_ref().map(|customer| &customer.values)
    }

    /// Makes a customer, and gives its place.
    pub(super) fn create(&mut self) -> usize {
        self.all.push(Some(Customer { created: jiff::Timestamp::now().as_second(), values: Params::new() }));
        self.all.len() - 1
    }

    /// Sets values; an empty one takes its parameter away.
    pub(super) fn update(&mut self, place: usize, params: Params) {
        let Some(Some(customer)) = self.all.get_mut(place) else { return };
        customer.values.extend(params);
        customer.values.retain(|_, value| !value.is_empty());
        self.coming.push_back((Instant::now(), place, Some(customer.clone())));
    }

    /// Deletes a customer.
    pub(super) fn delete(&mut self, place: usize) {
        if let Some(customer) = self.all.get_mut(place) {
            *customer = None;
            self.coming.push_back((Instant::now(), place, None));
        }
    }

    /// The customers whose metadata had `value` under `key` when the index was made, without regard to case.
    pub(super) fn search(&mut self, key: &str, value: &str, lag: Duration) -> Vec<Value> {
        while self.coming.front().is_some_and(|(since, ..)| since.elapsed() >= lag) {
            if let Some((_, place, customer)) = self.coming.pop_front() {
                self.index(place, customer);
            }
        }
        let found = self.by_value.get(&(format!("metadata[{key}]"), value.to_lowercase())).into_iter().flatten();
        found.filter_map(|place| Some(json_of(*place, self.indexed.get(place)?))).collect()
    }

    /// Has the search know a customer as it is, or that it is deleted.
    fn index(&mut self, place: usize, customer: Option<Customer>) {
        let word = |(param, value): (&String, &String)| (param.clone(), value.to_lowercase());
        for known in self.indexed.remove(&place).iter().flat_map(|known| known.values.iter().map(word)) {
            self.by_value.entry(known).or_default().remove(&place);
        }
        let Some(customer) = customer else { return };
        for told in customer.values.iter().map(word) {
            self.by_value.entry(told).or_default().insert(place);
        }
        self.indexed.insert(place, customer);
    }

    /// The first customers.
    pub(super) fn list(&self, limit: usize) -> (Vec<Value>, bool) {
        let mut live = (0..).zip(&self.all).filter_map(|(place, c)| Some(json_of(place, c.as_ref()?)));
        (live.by_ref().take(limit).collect(), live.next().is_some())
    }

    /// A customer in the vendor's JSON, or what is left of a deleted one.
    pub(super) fn json(&self, place: usize) -> Value {
        match self.all.get(place).and_then(Option::as_ref) {
            Some(customer) => json_of(place, customer),
            None => json!({ "id": id(place), "object": "customer", "deleted": true }),
        }
    }

    /// The live customers: `customers` → id → values by parameter.
    pub(super) fn records(&self) -> Value {
        let live = (0..).zip(&self.all).filter_map(|(place, c)| Some((id(place), json!(c.as_ref()?.values))));
        json!({ "customers": Value::Object(live.collect()) })
    }
}

fn id(place: usize) -> String {
    format!("cus_sandbox{place:04}")
}

fn json_of(place: usize, customer: &Customer) -> Value {
    let text = |param: &str| customer.values.get(param).map_or(Value::Null, |value| json!(value));
    let part = |part: &str| (part.to_owned(), text(&format!("address[{part}]")));
    let address: Map<String, Value> =
        ["city", "country", "line1", "line2", "postal_code", "state"].into_iter().map(part).collect();
    let metadata: Map<String, Value> = customer
        .values
        .iter()
        .filter_map(|(param, value)| Some((metadata_key(param)?.to_owned(), json!(value))))
        .collect();
    json!({
        "id": id(place),
        "object": "customer",
        "address": if address.values().all(Value::is_null) { Value::Null } else { Value::Object(address) },
        "balance": 0,
        "created": customer.created,
        "currency": null,
        "default_source": null,
        "delinquent": false,
        "description": text("description"),
        "discount": null,
        "email": text("email"),
        "livemode": false,
        "metadata": metadata,
        "name": text("name"),
        "phone": text("phone"),
        "preferred_locales": [],
        "shipping": null,
        "tax_exempt": customer.values.get("tax_exempt").map_or("none", String::as_str),
    })
}
