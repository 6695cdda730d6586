//! The destinations, one module a vendor.

pub mod customerio;
#[cfg(test)]
mod described;
pub mod file;
#[cfg(test)]
mod fixture;
pub mod google_data_manager;
pub mod http;
pub mod hubspot;
pub mod mailchimp;
pub mod meta;
pub mod mixpanel;
pub mod salesforce;
pub mod sql;
mod stand_in;
pub mod stripe;
pub mod zendesk;
