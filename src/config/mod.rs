//! The operator's files → a checked [`Project`], or every problem with its place.
//!
//! | module | what is there |
//! |---|---|
//! | [`load`](load()) | the whole project: files, both phases of each table, checks between files |
//! | `files` | reading files: regular, small, UTF-8 |
//! | `root` | `backhaul.toml` |
//! | `model`, `sync`, `into`, `fields`, `schedule`, `guards`, `checks` | one table each |
//! | `incremental` | models that grow, and sending rows again |
//! | `people` | who may be sent: suppression lists, holdouts, consent |
//! | `later` | keys of the language that this version refuses |
//! | `across`, `groups`, `references` | what no file can know alone: `after` cycles, two syncs on one object, groups that may, records of other syncs |
//! | [`example`](example()) | a project that stands in one text, for manuals |
//! | [`render`](render()) | problems for people and for programs |
//! | [`schema`] | JSON Schema of the three files |

mod across;
mod checks;
mod example;
mod fields;
mod files;
mod groups;
mod guards;
mod incremental;
mod into;
mod later;
mod load;
mod model;
mod names;
mod people;
mod project;
mod references;
mod render;
mod root;
mod schedule;
pub mod schema;
mod sync;
#[cfg(test)]
pub(crate) mod tests;

pub use example::{example, files_of};
pub use guards::{Canary, FieldGuard, Guards, OnHold, OnKeyShift, OnRemap, Step, Threshold, percent};
pub use incremental::{Begin, Incremental};
pub use load::{Registry, load, load_with};
pub use people::{Consent, Holdout, OnIneligible, Pair, People, Signal, Suppression};
pub use project::{
    Check, CheckKind, CheckSeverity, Country, Destination, DiffPlace, Field, FieldSource, ModelDef, OnBadRow,
    OnUnknown, Priority, Project, Reference, Referred, Schedule, StateSettings, SyncDef, Warehouse,
};
pub use references::Missing;
pub use render::{problems_json, render};
