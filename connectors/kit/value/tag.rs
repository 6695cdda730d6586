//! What an encoded value or field begins with.

pub(super) const NULL: u8 = 0;
pub(super) const FALSE: u8 = 1;
pub(super) const TRUE: u8 = 2;
pub(super) const INT: u8 = 3;
pub(super) const DECIMAL: u8 = 4;
pub(super) const NUMBER: u8 = 5;
pub(super) const FLOAT: u8 = 6;
pub(super) const TEXT: u8 = 7;
pub(super) const BYTES: u8 = 8;
pub(super) const DATE: u8 = 9;
pub(super) const TIME: u8 = 10;
pub(super) const TIMESTAMP: u8 = 11;
pub(super) const LOCAL_TIMESTAMP: u8 = 12;
pub(super) const INTERVAL: u8 = 13;
pub(super) const UUID: u8 = 14;
pub(super) const JSON: u8 = 15;
pub(super) const ARRAY: u8 = 16;
pub(super) const INVALID: u8 = 17;
/// A field that is left out.
pub(super) const SKIP: u8 = 254;
/// A field that is emptied.
pub(super) const CLEAR: u8 = 255;
