//! One form for people's e-mail addresses, telephone numbers and countries, and the forms of vendors that match by them
//! ([`person`]).
//!
//! What cannot be brought into the form without losing or inventing something is refused, and a refusal does not quote
//! the value. The other words of `as` in a sync's fields, and numbers as they are dialled inside of
//! countries, are the engine's.

mod contact;
pub mod person;
mod place;

pub use contact::{digits, email, phone, refuse_hash};
pub use place::country;

/// Why a value has no such form.
pub type Refusal = std::borrow::Cow<'static, str>;
