//! The warehouses and destinations of backhaul, on `backhaul-kit`.
//!
//! The registry is one explicit list. To add a destination, see `README.md` beside this file.

mod csv;
pub mod destinations;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    //! One door for every fuzz target of `fuzz/` that is about this package.

    pub use crate::warehouses::postgres::fuzzing::{copy, copy_value};
}
pub mod warehouses;

use backhaul_kit::{DestinationKind, SourceKind};

/// Every kind of warehouse.
pub fn warehouses() -> &'static [&'static dyn SourceKind] {
    &[&warehouses::files::FilesKind, &warehouses::postgres::PostgresKind, &warehouses::sqlite::SqliteKind]
}

/// Every kind of destination.
pub fn destinations() -> &'static [&'static DestinationKind] {
    static ALL: &[&DestinationKind] = &[
        &destinations::customerio::CUSTOMERIO,
        &destinations::file::FILE,
        &destinations::google_data_manager::GOOGLE_DATA_MANAGER,
        &destinations::http::HTTP,
        &destinations::hubspot::HUBSPOT,
        &destinations::mailchimp::MAILCHIMP,
        &destinations::meta::META,
        &destinations::mixpanel::MIXPANEL,
        &destinations::salesforce::SALESFORCE,
        &destinations::sql::MARIADB,
        &destinations::sql::POSTGRES,
        &destinations::stripe::STRIPE,
        &destinations::zendesk::ZENDESK,
    ];
    ALL
}
