//! Typed values between a warehouse and a destination: how they look as JSON and text, and their
//! compact encoding inside plan files.
//!
//! | file | what is there |
//! |---|---|
//! | `owned` | [`Value`], [`Field`], [`FieldValue`]: what a source hands over and a mapping makes |
//! | `borrowed` | [`ValueRef`], [`FieldRef`]: the same, read in place out of their encoding |
//! | `fields` | [`Fields`]: the mapped values of one row, encoded |
//! | `render` | JSON and text |
//! | `tag`, `wire` | the encoding: what a value begins with; numbers and byte strings |

mod borrowed;
mod fields;
mod owned;
mod render;
mod tag;
#[cfg(test)]
mod tests;
mod wire;

pub use borrowed::{FieldRef, ListRef, ValueRef};
pub use fields::Fields;
pub use owned::{Field, FieldValue, Value};
pub(crate) use render::write_field_json;
pub use render::{hex, write_json_str};
pub use wire::{put_bytes, put_varint, take_bytes, take_varint, unzigzag, zigzag};
