//! The destinations, one module a vendor.

pub mod file;
pub mod http;
pub mod hubspot;
