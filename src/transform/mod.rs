//! What a value is made into before it is a field's: `as` and templates. Pure, and known to whoever reads a sync's files and
//! to whoever maps its rows.

mod moment;
mod national;
mod normalise;
mod scalar;
mod template;

pub(crate) use national::{READS_NATIONAL, knows_numbers_of};
pub use normalise::Normaliser;
pub(crate) use normalise::phone_in;
pub(crate) use template::Template;
