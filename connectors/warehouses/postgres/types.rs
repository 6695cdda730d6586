//! Which types a model's columns have, and how they travel.

use std::collections::HashMap;

use backhaul_kit::TypeClass;
use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row as _};

/// How a value travels: what its bytes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Whatever travels as its UTF-8 text: text types, enums, citext, xml.
    Text,
    Json,
    Jsonb,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    /// `inet` and `cidr`.
    Network,
    /// `macaddr` and `macaddr8`.
    Mac,
    Array(Box<Wire>),
    /// Nothing here knows what the bytes mean.
    Unsupported,
}

impl Wire {
    /// The class that outlives a change of warehouse.
    pub(super) fn class(&self) -> TypeClass {
        match self {
            Self::Bool => TypeClass::Bool,
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => TypeClass::Integer,
            Self::Float4 | Self::Float8 => TypeClass::Float,
            Self::Numeric => TypeClass::Decimal,
            Self::Text | Self::Network | Self::Mac => TypeClass::Text,
            Self::Json | Self::Jsonb => TypeClass::Json,
            Self::Bytea => TypeClass::Bytes,
            Self::Date => TypeClass::Date,
            Self::Time => TypeClass::Time,
            Self::Timestamp => TypeClass::LocalTimestamp,
            Self::TimestampTz => TypeClass::Timestamp,
            Self::Interval => TypeClass::Interval,
            Self::Uuid => TypeClass::Uuid,
            Self::Array(of) => match of.class() {
                TypeClass::Unsupported => TypeClass::Unsupported,
                class => TypeClass::Array(Box::new(class)),
            },
            Self::Unsupported => TypeClass::Unsupported,
        }
    }

    /// Whether a value can be (part of) a key.
    pub(super) fn can_be_key(&self) -> bool {
        match self {
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Oid
            | Self::Numeric
            | Self::Text
            | Self::Bytea
            | Self::Date
            | Self::Timestamp
            | Self::TimestampTz
            | Self::Uuid
            | Self::Network
            | Self::Mac => true,
            Self::Float4
            | Self::Float8
            | Self::Json
            | Self::Jsonb
            | Self::Time
            | Self::Interval
            | Self::Array(_)
            | Self::Unsupported => false,
        }
    }

    /// The type whose values are sent by this function of `pg_catalog`.
    fn of_send_function(name: &str) -> Self {
        match name {
            "boolsend" => Self::Bool,
            "int2send" => Self::Int2,
            "int4send" => Self::Int4,
            "int8send" => Self::Int8,
            "oidsend" => Self::Oid,
            "float4send" => Self::Float4,
            "float8send" => Self::Float8,
            "numeric_send" => Self::Numeric,
            "textsend" | "varcharsend" | "bpcharsend" | "namesend" | "enum_send" | "xml_send" | "unknownsend" => {
                Self::Text
            }
            "json_send" => Self::Json,
            "jsonb_send" => Self::Jsonb,
            "byteasend" => Self::Bytea,
            "date_send" => Self::Date,
            "time_send" => Self::Time,
            "timestamp_send" => Self::Timestamp,
            "timestamptz_send" => Self::TimestampTz,
            "interval_send" => Self::Interval,
            "uuid_send" => Self::Uuid,
            "inet_send" | "cidr_send" => Self::Network,
            "macaddr_send" | "macaddr8_send" => Self::Mac,
            _ => Self::Unsupported,
        }
    }
}

/// A type of the server.
#[derive(Clone, Debug)]
pub(super) struct PgType {
    /// Its name there.
    pub(super) name: String,
    /// How its values travel.
    pub(super) wire: Wire,
}

struct Entry {
    name: String,
    base: u32,
    element: u32,
    send: Option<String>,
    built_in: bool,
}

/// The types themselves, the base types of domains and the element types of arrays.
const TYPES: &str = "\
    WITH RECURSIVE wanted(oid) AS (
        SELECT unnest($1::oid[])
        UNION
        SELECT r.oid FROM wanted w JOIN pg_catalog.pg_type t ON t.oid = w.oid
        CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem)) r(oid) WHERE r.oid <> 0
    )
    SELECT t.oid, t.typname::text, t.typbasetype, t.typelem, s.proname::text, n.nspname = 'pg_catalog'
    FROM wanted w JOIN pg_catalog.pg_type t ON t.oid = w.oid
    LEFT JOIN pg_catalog.pg_proc s ON s.oid = t.typsend
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = s.pronamespace";

/// Asks the server what the types of these object ids are; in the same order.
pub(super) async fn resolve(conn: &mut PgConnection, oids: &[u32]) -> Result<Vec<PgType>, sqlx::Error> {
    let wanted: Vec<Oid> = oids.iter().map(|oid| Oid(*oid)).collect();
    let rows = sqlx::query(TYPES).bind(wanted).fetch_all(conn).await?;
    let mut entries = HashMap::with_capacity(rows.len());
    for row in rows {
        let oid = |at: usize| row.try_get::<Oid, _>(at).map(|oid| oid.0);
        let entry = Entry {
            name: row.try_get(1)?,
            base: oid(2)?,
            element: oid(3)?,
            send: row.try_get(4)?,
            built_in: row.try_get::<Option<bool>, _>(5)?.unwrap_or(false),
        };
        entries.insert(oid(0)?, entry);
    }
    Ok(oids.iter().map(|oid| describe(*oid, &entries)).collect())
}

fn describe(oid: u32, entries: &HashMap<u32, Entry>) -> PgType {
    let Some(entry) = entries.get(&oid) else {
        return PgType { name: format!("type {oid}"), wire: Wire::Unsupported };
    };
    if entry.base != 0 {
        return PgType { name: entry.name.clone(), wire: describe(entry.base, entries).wire };
    }
    match (entry.send.as_deref(), entry.built_in) {
        (Some("array_send"), true) => {
            let of = describe(entry.element, entries);
            PgType { name: format!("{}[]", of.name), wire: Wire::Array(Box::new(of.wire)) }
        }
        (Some(send), true) => PgType { name: entry.name.clone(), wire: Wire::of_send_function(send) },
        // The citext extension sends its values as text does.
        (Some("citextsend"), false) => PgType { name: entry.name.clone(), wire: Wire::Text },
        _ => PgType { name: entry.name.clone(), wire: Wire::Unsupported },
    }
}
