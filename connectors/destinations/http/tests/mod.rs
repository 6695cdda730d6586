//! Tests of the HTTP destination.

mod answers;
mod calls;
mod config;
mod contract;
mod requests;

use std::sync::Arc;

use backhaul_kit::Prepared;
use backhaul_kit::config::Problem;

use super::HTTP;
use crate::destinations::fixture;

const KEY: &[&str] = &["customer_id"];

fn read(text: &str, fields: &[&str]) -> (Option<Arc<dyn Prepared>>, Vec<Problem>) {
    fixture::read(&HTTP, text, KEY, fields)
}

/// A sync that must be right.
fn prepared(text: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&HTTP, text, KEY, fields)
}
