//! A warehouse record → the destination's fields.
