//! The operator's files → a checked [`Project`], or every problem with its place.

mod project;

pub use project::{
    Destination, Field, FieldSource, Guards, ModelDef, OnRemap, OnUnknown, Project, Schedule, StateSettings, SyncDef,
    Threshold, Warehouse,
};
