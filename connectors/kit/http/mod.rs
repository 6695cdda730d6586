//! The one HTTP client of backhaul, with limits and redaction.
//!
//! A connector builds a [`Request`], sends it through an [`Http`] and reads the [`Answer`]. Statuses are
//! not errors here: what a status means is the vendor's business. What *is* a [`Fault`](crate::Fault) is a
//! call without an answer: `Transient` when nothing was sent, `Ambiguous` otherwise.

mod account;
pub mod assertion;
mod auth;
mod base;
mod client;
mod form;
mod keys;
pub mod limit;
mod message;
pub mod reach;
#[cfg(test)]
mod tests;
pub mod token;

pub use account::HttpAccount;
pub use auth::Auth;
pub use base::{BaseUrl, is_loopback, quota_share, scaled};
pub use client::{Http, HttpOptions};
pub use form::{Form, idempotency_key};
pub use keys::{HttpKeys, Proxy, account_schema, connection_schema};
pub use message::{Answer, Manner, Request, fault_of_status, retry_after};
