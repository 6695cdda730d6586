//! What every connector of backhaul stands on.
//!
//! | module | what is there |
//! |---|---|
//! | [`source`] | the contract of a warehouse: scans, pages, proofs |
//! | [`table`] | snapshots that are tables of the warehouse |
//! | [`kind`], [`shape`] | what a kind of destination writes; what a sync asks of it |
//! | [`destination`], [`facts`] | the contract of a destination: writes, stand-ins; what is true of an operation |
//! | [`row_calls`] | a destination that takes one row a call |
//! | [`batch`] | rows on their way, verdicts, tickets |
//! | [`find`] | records whose ids are not remembered |
//! | [`value`], [`key`] | typed values; canonical keys |
//! | [`fault`] | what went wrong with a call, and the remedy |
//! | [`config`] | reading TOML key by key; problems; secrets |
//! | [`http`] | the one HTTP client, credentials and limits |
//! | [`context`] | what the engine hands to connectors |
//! | [`nested`] | nested JSON objects out of flat fields |
//! | [`preview`] | what `plan --request` shows |
//! | [`normalise`] | e-mail addresses, country codes … in one form |
//! | [`contract`] | the suite that every destination passes (feature `contract`) |

#[macro_use]
mod words;

pub mod batch;
pub mod config;
pub mod context;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod destination;
pub mod facts;
pub mod fault;
pub mod find;
pub mod http;
pub mod json;
pub mod key;
pub mod kind;
pub mod nested;
pub mod normalise;
pub mod preview;
pub mod row_calls;
pub mod shape;
pub mod source;
pub mod table;
pub mod value;

pub use batch::{
    Address, Batch, ChangeKind, Delivery, Operation, Outcomes, Progress, Reason, Row, SaveTicket, Ticket, Verdict,
};
pub use context::Kit;
pub use destination::{
    Account, AccountReport, Destination, Lookup, Match, ObjectField, ObjectSchema, Prepared, Presence, Run, Sandbox,
    SandboxKind, Tickets,
};
pub use facts::{AddressKind, Evidence, Facts, Order, Session};
pub use fault::{Fault, FaultClass};
pub use find::Finder;
pub use key::{KeyError, KeyHash};
pub use kind::{DestinationKind, KindSchema, Object, ObjectName};
pub use nested::{Nest, PathError};
pub use preview::RequestPreview;
pub use row_calls::{OneRow, RowCalls};
pub use shape::{FieldShape, Mode, NullPolicy, Removed, SyncShape, WritePolicy};
pub use source::{
    Column, EncodedValues, Model, ModelQuery, Projection, Proof, Query, RowDecoder, RowDigest, RowPage, Rows, Scan,
    Scanned, Schema, Since, Source, SourceKind, SourceReport, TakeRow, TypeClass, WarehouseConfig,
};
pub use table::{
    Compared, ComparedPage, Gone, Mark, NewTable, Recorded, SnapshotTables, TableChange, TableCounts, TableEffect,
    TableEntries, TableEntry, TableScan, TableShape, TableState,
};
pub use value::{FieldRef, FieldValue, Fields, ListRef, Value, ValueRef};
