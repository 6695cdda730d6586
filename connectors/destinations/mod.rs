//! The destinations, one module a vendor.

pub mod hubspot;
