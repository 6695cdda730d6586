//! One form for e-mail addresses, country codes and the like (`as` in a sync's fields).

/// What `as` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each says what it is; `Normaliser::apply` says what it does")]
pub enum Normaliser {
    Email,
    Phone,
    Name,
    Country,
    Postcode,
    Date,
    Timestamp,
    Text,
    Number,
    Boolean,
}
