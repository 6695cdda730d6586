//! The destinations, one module a vendor.
