//! The warehouses, one module each.
