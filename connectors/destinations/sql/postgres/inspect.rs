//! What the server says of itself, of the user's rights and of the table.

use backhaul_kit::{AccountReport, Fault};
use sqlx::postgres::PgRow;
use sqlx::{Error, Row as _};

use super::super::name::{TableName, quoted};
use super::super::sync::SqlSync;
use super::super::table::{Class, Column, May, Table, no_table};
use super::{Connection, fault};

const TABLE: &str = "\
    SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relkind::text IN ('r', 'p') AS is_table,
           has_table_privilege(c.oid, 'DELETE') AS may_delete,
           (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique) AS unique_indexes
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $2 AND n.nspname = coalesce($1, current_schema()) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

const TABLES: &str = "\
    SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relkind IN ('r', 'p')";

/// Types are named without their modifiers, domains by the types below them: a cast to `varchar(3)` would cut a text.
const COLUMNS: &str = "\
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS native,
           quote_ident(tn.nspname) || '.' || quote_ident(t.typname) AS type,
           t.typname::text AS base, t.typcategory::text AS category,
           e.typname::text AS item, e.typcategory::text AS item_category,
           NOT a.attnotnull AS nullable, a.atthasdef OR a.attidentity <> '' AS has_default,
           a.attgenerated <> '' OR a.attidentity = 'a' AS computed,
           EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
                   AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
                   AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS uniquely,
           has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS may_insert,
           has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS may_update,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS may_select
    FROM pg_catalog.pg_attribute a
    CROSS JOIN LATERAL (
        WITH RECURSIVE base AS (
            SELECT d.oid, d.typbasetype FROM pg_catalog.pg_type d WHERE d.oid = a.atttypid
            UNION ALL SELECT d.oid, d.typbasetype FROM pg_catalog.pg_type d JOIN base ON d.oid = base.typbasetype
        ) SELECT oid FROM base WHERE typbasetype = 0
    ) AS b
    JOIN pg_catalog.pg_type t ON t.oid = b.oid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const USER: &str = "\
    SELECT current_setting('server_version') AS version, current_user::text AS name, current_database()::text AS database,
           current_schema()::text AS schema, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
    FROM pg_catalog.pg_roles WHERE rolname = current_user";

const RIGHTS: &str = "\
    SELECT has_schema_privilege(n.oid, 'USAGE') AS usage, pg_has_role(c.relowner, 'USAGE') AS owner,
           has_table_privilege(c.oid, 'TRUNCATE') AS truncate
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2";

const OPERATIONS: &str = "\
    SELECT n.nspname::text AS schema, c.oid IS NOT NULL AS there, has_schema_privilege(n.oid, 'CREATE') AS may_make,
           coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                    AND has_table_privilege(c.oid, 'DELETE'), false) AS may_write
    FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2
    WHERE n.nspname = coalesce($1, current_schema())";

/// The table, with its columns.
pub(super) async fn table(connection: &mut Connection, name: &TableName) -> Result<Table, Fault> {
    let place = connection.place.clone();
    let failed = |error| fault::of_call(error, &place);
    let query = sqlx::query(TABLE).bind(&name.schema).bind(&name.table);
    let Some(found) = query.fetch_optional(&mut connection.inner).await.map_err(failed)? else {
        let query = sqlx::query_scalar::<_, String>(TABLES).bind(&name.schema);
        let known = query.fetch_all(&mut connection.inner).await.map_err(failed)?;
        return Err(no_table(name, &known));
    };
    if !found.try_get::<bool, _>("is_table").map_err(failed)? {
        return Err(
            Fault::config(format!("{name} is a view or a foreign table")).remedy("name a table of this database")
        );
    }
    let oid: i64 = found.try_get("oid").map_err(failed)?;
    let columns = sqlx::query(COLUMNS).bind(oid).fetch_all(&mut connection.inner).await.map_err(failed)?;
    let schema = found.try_get("schema").map_err(failed)?;
    let unique: i64 = found.try_get("unique_indexes").map_err(failed)?;
    Ok(Table {
        name: TableName { schema: Some(schema), table: name.table.clone() },
        columns: columns.iter().map(column).collect::<Result<_, _>>().map_err(failed)?,
        unique_indexes: usize::try_from(unique).unwrap_or_default(),
        may_delete: Some(found.try_get("may_delete").map_err(failed)?),
    })
}

fn column(row: &PgRow) -> Result<Column, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let flag = |name: &str| row.try_get::<bool, _>(name);
    let mut class = class(&text("base")?, &text("category")?);
    if let (Class::Array(item), Some(name), Some(category)) =
        (&mut class, row.try_get::<Option<String>, _>("item")?, row.try_get::<Option<String>, _>("item_category")?)
    {
        **item = self::class(&name, &category);
    }
    Ok(Column {
        name: text("name")?,
        native: text("native")?,
        cast: text("type")?,
        // Its remembered text is base64 or JSON, by which nothing is found.
        unique: flag("uniquely")? && !matches!(class, Class::Binary | Class::Array(_) | Class::Json),
        class,
        nullable: flag("nullable")?,
        has_default: flag("has_default")?,
        computed: flag("computed")?,
        may: May { insert: flag("may_insert")?, update: flag("may_update")?, select: flag("may_select")? },
    })
}

fn class(base: &str, category: &str) -> Class {
    match (base, category) {
        ("bytea", _) => Class::Binary,
        ("json" | "jsonb", _) => Class::Json,
        (_, "A") => Class::Array(Box::new(Class::Text)),
        (_, "B") => Class::Bool,
        (_, "N") => Class::Number,
        (_, "D") => Class::Time,
        (_, "V") => Class::Bits,
        _ => Class::Text,
    }
}

/// Identity and rights. Nothing is written.
pub(super) async fn report(connection: &mut Connection, sync: &SqlSync) -> Result<AccountReport, Fault> {
    let place = connection.place.clone();
    let failed = |error| fault::of_call(error, &place);
    let user = sqlx::query(USER).fetch_one(&mut connection.inner).await.map_err(failed)?;
    let text = |name: &str| user.try_get::<String, _>(name).map_err(failed);
    let (name, database) = (text("name")?, text("database")?);
    let mut report = AccountReport {
        identity: identity(connection, &database).await?,
        label: format!("PostgreSQL {}, database {database} at {place}, as {name}", text("version")?),
        ..AccountReport::default()
    };
    for (attribute, column) in [
        ("SUPERUSER", "rolsuper"),
        ("CREATEDB", "rolcreatedb"),
        ("CREATEROLE", "rolcreaterole"),
        ("REPLICATION", "rolreplication"),
        ("BYPASSRLS", "rolbypassrls"),
    ] {
        if user.try_get(column).map_err(failed)? {
            report.excess.push(attribute.to_owned());
        }
    }
    let to = quoted(&name, '"');
    let table = table(connection, &sync.table).await?;
    rights(connection, sync, &table, &to, &mut report).await?;
    if let Some(operations) = &sync.operations {
        operations_rights(connection, operations, &to, &mut report).await?;
    }
    Ok(report)
}

/// A cluster keeps its number through fail-overs and changes of address. Where the user may not ask for it, the address
/// stands for it.
async fn identity(connection: &mut Connection, database: &str) -> Result<String, Fault> {
    let query = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    match sqlx::query_scalar::<_, String>(query).fetch_one(&mut connection.inner).await {
        Ok(system) => Ok(format!("postgres:{system}/{database}")),
        Err(Error::Database(_)) => Ok(format!("postgres:{}/{database}", connection.place)),
        Err(error) => Err(fault::of_call(error, &connection.place)),
    }
}

/// Rights on the table that are missing or in excess.
async fn rights(
    connection: &mut Connection,
    sync: &SqlSync,
    table: &Table,
    to: &str,
    report: &mut AccountReport,
) -> Result<(), Fault> {
    let place = connection.place.clone();
    let failed = |error| fault::of_call(error, &place);
    let (name, schema) = (&table.name, table.name.schema.as_deref().unwrap_or_default());
    let query = sqlx::query(RIGHTS).bind(schema).bind(&name.table);
    let found = query.fetch_one(&mut connection.inner).await.map_err(failed)?;
    let flag = |name: &str| found.try_get::<bool, _>(name).map_err(failed);
    if !flag("usage")? {
        report.missing.push(format!("USAGE on schema {schema}"));
    }
    report.missing.extend(table.missing_rights(sync).iter().map(|right| format!("{right} on {name}")));
    let needed = sync.needed_rights().join(", ");
    report.grants.push(format!("GRANT USAGE ON SCHEMA {} TO {to};", quoted(schema, '"')));
    report.grants.push(format!("GRANT {needed} ON TABLE {} TO {to};", name.quoted('"')));
    // Of a superuser, and of an owner, every right is the same one.
    let superuser = report.excess.iter().any(|attribute| attribute == "SUPERUSER");
    if !superuser && flag("owner")? {
        report.excess.push(format!("ownership of {name}"));
    } else if !superuser {
        if flag("truncate")? {
            report.excess.push(format!("TRUNCATE on {name}"));
        }
        if table.may_delete == Some(true) && !sync.deletes() {
            report.excess.push(format!("DELETE on {name}"));
        }
    }
    Ok(())
}

/// Rights on the table of operations.
async fn operations_rights(
    connection: &mut Connection,
    name: &TableName,
    to: &str,
    report: &mut AccountReport,
) -> Result<(), Fault> {
    let place = connection.place.clone();
    let failed = |error| fault::of_call(error, &place);
    let query = sqlx::query(OPERATIONS).bind(&name.schema).bind(&name.table);
    let Some(found) = query.fetch_optional(&mut connection.inner).await.map_err(failed)? else {
        return Err(Fault::config(format!("there is no schema for the table {name}")).remedy("create the schema first"));
    };
    let flag = |name: &str| found.try_get::<bool, _>(name).map_err(failed);
    if flag("there")? {
        if !flag("may_write")? {
            report.missing.push(format!("SELECT, INSERT, DELETE on {name}"));
        }
        report.grants.push(format!("GRANT SELECT, INSERT, DELETE ON TABLE {} TO {to};", name.quoted('"')));
    } else {
        let schema: String = found.try_get("schema").map_err(failed)?;
        if !flag("may_make")? {
            report.missing.push(format!("CREATE in schema {schema}"));
        }
        report.grants.push(format!("GRANT CREATE ON SCHEMA {} TO {to};", quoted(&schema, '"')));
    }
    Ok(())
}
