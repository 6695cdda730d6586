//! The suite that every destination passes.
