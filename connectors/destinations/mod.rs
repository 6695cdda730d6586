//! The destinations, one module a vendor.

pub mod file;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod hubspot;
pub mod mixpanel;
#[cfg(test)]
mod spec;
