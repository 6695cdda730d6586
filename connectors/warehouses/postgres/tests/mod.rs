//! Whole scans of a real server.
//!
//! They read the URL of a superuser of a throw-away server from `BACKHAUL_TEST_POSTGRES`; each makes a database of
//! its own there. Without the variable they say so and do nothing.

mod complete;
mod lanes;
mod model;
mod server;
mod since;
mod snapshots;
mod values;
