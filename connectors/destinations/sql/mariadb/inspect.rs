//! What the server says of itself, of the user's rights and of the table.

use std::collections::BTreeMap;

use backhaul_kit::{AccountReport, Fault};
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;

use super::super::name::{TableName, quoted};
use super::super::sync::SqlSync;
use super::super::table::{Class, Column, May, Table, no_table};
use super::{Connection, fault};

const TABLE: &str = "\
    SELECT CAST(t.TABLE_SCHEMA AS CHAR), CAST(t.TABLE_TYPE = 'BASE TABLE' AS SIGNED),
           CAST(COALESCE(e.TRANSACTIONS, 'NO') = 'YES' AS SIGNED)
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ?";

const TABLES: &str = "\
    SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(?, DATABASE())";

const COLUMNS: &str = "\
    SELECT CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(DATA_TYPE AS CHAR),
           CAST(IS_NULLABLE = 'YES' AS SIGNED),
           CAST(COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%' AS SIGNED),
           CAST(EXTRA LIKE '%STORED GENERATED%' OR EXTRA LIKE '%VIRTUAL GENERATED%' AS SIGNED),
           CAST(PRIVILEGES AS CHAR)
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

const INDEXES: &str = "\
    SELECT CAST(INDEX_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(SUB_PART IS NULL AS SIGNED)
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0";

const USER: &str = "\
    SELECT CAST(VERSION() AS CHAR), CAST(CURRENT_USER() AS CHAR),
           CAST((SELECT COUNT(*) FROM information_schema.ENABLED_ROLES WHERE ROLE_NAME IS NOT NULL) AS SIGNED)";

/// Rights of the user on everything, on a database, on a table; the grantee is quoted there.
const RIGHTS: &str = "\
    SELECT 0, CAST(PRIVILEGE_TYPE AS CHAR) FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ?
    UNION ALL SELECT 1, CAST(PRIVILEGE_TYPE AS CHAR) FROM information_schema.SCHEMA_PRIVILEGES
    WHERE GRANTEE = ? AND ? LIKE TABLE_SCHEMA
    UNION ALL SELECT 2, CAST(PRIVILEGE_TYPE AS CHAR) FROM information_schema.TABLE_PRIVILEGES
    WHERE GRANTEE = ? AND TABLE_SCHEMA = ? AND TABLE_NAME = ?";

/// The user of the connection, as accounts are written in statements.
struct User {
    version: String,
    /// `'name'@'host'`.
    grantee: String,
    has_roles: bool,
}

/// A right and how far it reaches.
#[derive(PartialEq, Eq)]
enum Reach {
    Everything,
    Database,
    Table,
}

/// Whether there is a table of that name that the user can see.
pub(super) async fn is_there(connection: &mut Connection, name: &TableName) -> Result<bool, Fault> {
    let found = sqlx::query(TABLE).bind(&name.schema).bind(&name.table).fetch_optional(&mut connection.inner).await;
    found.map(|row| row.is_some()).map_err(|error| fault::of_call(&error, &connection.place))
}

/// The table, with its columns.
pub(super) async fn table(connection: &mut Connection, name: &TableName) -> Result<Table, Fault> {
    let place = connection.place.clone();
    let failed = |error: sqlx::Error| fault::of_call(&error, &place);
    let query = sqlx::query(TABLE).bind(&name.schema).bind(&name.table);
    let Some(found) = query.fetch_optional(&mut connection.inner).await.map_err(failed)? else {
        let query = sqlx::query_scalar::<_, String>(TABLES).bind(&name.schema);
        let known = query.fetch_all(&mut connection.inner).await.map_err(failed)?;
        return Err(no_table(name, &known));
    };
    let (is_table, has_transactions) = (flag(&found, 1).map_err(failed)?, flag(&found, 2).map_err(failed)?);
    if !is_table {
        return Err(Fault::config(format!("{name} is a view")).remedy("name a table"));
    }
    if !has_transactions {
        return Err(Fault::config(format!("the storage engine of {name} has no transactions"))
            .remedy("ALTER TABLE … ENGINE = InnoDB: a batch must be applied as a whole or not at all"));
    }
    let schema: String = found.try_get(0).map_err(failed)?;
    let indexes = sqlx::query(INDEXES).bind(&schema).bind(&name.table);
    let indexes = indexes.fetch_all(&mut connection.inner).await.map_err(failed)?;
    let (unique, unique_indexes) = unique_columns(&indexes).map_err(failed)?;
    let columns = sqlx::query(COLUMNS).bind(&schema).bind(&name.table);
    let columns = columns.fetch_all(&mut connection.inner).await.map_err(failed)?;
    let columns = columns.iter().map(|row| column(row, &unique)).collect::<Result<_, _>>().map_err(failed)?;
    let name = TableName { schema: Some(schema), table: name.table.clone() };
    let user = user(connection).await?;
    let rights = rights(connection, &user, &name).await?;
    let deletes = rights.iter().any(|(_, right)| right == "DELETE");
    Ok(Table {
        name,
        columns,
        unique_indexes,
        may_delete: if deletes { Some(true) } else { (!user.has_roles).then_some(false) },
    })
}

fn flag(row: &MySqlRow, at: usize) -> Result<bool, sqlx::Error> {
    Ok(row.try_get::<i64, _>(at)? != 0)
}

/// The columns that have a unique index of their own, and how many unique indexes there are.
fn unique_columns(rows: &[MySqlRow]) -> Result<(Vec<String>, usize), sqlx::Error> {
    let mut indexes: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for row in rows {
        let whole = flag(row, 2)?;
        let column = row.try_get::<Option<String>, _>(1)?.filter(|_| whole);
        indexes.entry(row.try_get(0)?).or_default().push(column);
    }
    let count = indexes.len();
    let single = indexes.into_values().filter_map(|columns| match columns.as_slice() {
        [Some(column)] => Some(column.clone()),
        _ => None,
    });
    Ok((single.collect(), count))
}

fn column(row: &MySqlRow, unique: &[String]) -> Result<Column, sqlx::Error> {
    let (name, data_type): (String, String) = (row.try_get(0)?, row.try_get(2)?);
    let class = class(&data_type);
    // A fraction is compared with a text as a double, and remembered bytes and JSON are not what is stored.
    let findable = match class {
        Class::Number => data_type.ends_with("int"),
        Class::Text | Class::Time => true,
        _ => false,
    };
    let privileges: String = row.try_get(6)?;
    let may = |right: &str| privileges.split(',').any(|held| held.trim().eq_ignore_ascii_case(right));
    Ok(Column {
        native: row.try_get(1)?,
        cast: String::new(),
        unique: findable && unique.contains(&name),
        name,
        class,
        nullable: flag(row, 3)?,
        has_default: flag(row, 4)?,
        computed: flag(row, 5)?,
        may: May { insert: may("insert"), update: may("update"), select: may("select") },
    })
}

fn class(data_type: &str) -> Class {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double" | "year" => {
            Class::Number
        }
        "bit" => Class::Bits,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Class::Binary,
        "date" | "time" | "datetime" | "timestamp" => Class::Time,
        "json" => Class::Json,
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "vector" => Class::Opaque,
        _ => Class::Text,
    }
}

async fn user(connection: &mut Connection) -> Result<User, Fault> {
    let failed = |error: sqlx::Error| fault::of_call(&error, &connection.place);
    let row = sqlx::query(USER).fetch_one(&mut connection.inner).await.map_err(failed)?;
    let account: String = row.try_get(1).map_err(failed)?;
    // A name can have an @, a host cannot.
    let (name, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    Ok(User {
        version: row.try_get(0).map_err(failed)?,
        grantee: format!("'{name}'@'{host}'"),
        has_roles: flag(&row, 2).map_err(failed)?,
    })
}

async fn rights(connection: &mut Connection, user: &User, table: &TableName) -> Result<Vec<(Reach, String)>, Fault> {
    let failed = |error: sqlx::Error| fault::of_call(&error, &connection.place);
    let (grantee, schema) = (&user.grantee, &table.schema);
    let query = sqlx::query(RIGHTS).bind(grantee).bind(grantee).bind(schema);
    let query = query.bind(grantee).bind(schema).bind(&table.table);
    let rows = query.fetch_all(&mut connection.inner).await.map_err(failed)?;
    let right = |row: &MySqlRow| {
        let reach = match row.try_get::<i32, _>(0)? {
            0 => Reach::Everything,
            1 => Reach::Database,
            _ => Reach::Table,
        };
        Ok((reach, row.try_get(1)?))
    };
    let rights: Result<Vec<(Reach, String)>, sqlx::Error> = rows.iter().map(right).collect();
    Ok(rights.map_err(failed)?.into_iter().filter(|(_, right)| right != "USAGE").collect())
}

/// Identity and rights. Nothing is written.
pub(super) async fn report(connection: &mut Connection, sync: &SqlSync) -> Result<AccountReport, Fault> {
    let table = table(connection, &sync.table).await?;
    let user = user(connection).await?;
    let (name, grantee) = (&table.name, &user.grantee);
    let schema = name.schema.as_deref().unwrap_or_default();
    let mut report = AccountReport {
        // The server's own number changes with the machine; its address is what lasts.
        identity: format!("mariadb:{}/{schema}", connection.place),
        label: format!("{} at {}, database {schema}, as {grantee}", user.version, connection.place),
        ..AccountReport::default()
    };
    report.missing.extend(table.missing_rights(sync).iter().map(|right| format!("{right} on {name}")));
    let needed = sync.needed_rights();
    report.grants.push(format!("GRANT {} ON {} TO {grantee};", needed.join(", "), name.quoted('`')));
    if table.may_delete.is_none() && sync.deletes() {
        report.unknowable.push(format!("whether a role may DELETE on {name}"));
    }
    let rights = rights(connection, &user, name).await?;
    let of = |reach: &Reach| rights.iter().filter(|(of, _)| of == reach).map(|(_, right)| right.as_str()).collect();
    for (reach, place) in
        [(Reach::Everything, String::from("everything")), (Reach::Database, format!("the database {schema}"))]
    {
        let held: Vec<&str> = of(&reach);
        match held.as_slice() {
            [] => {}
            few if few.len() <= 4 => report.excess.push(format!("{} on {place}", few.join(", "))),
            many => {
                report.excess.push(format!("{} and {} other rights on {place}", many[..3].join(", "), many.len() - 3));
            }
        }
    }
    let own: Vec<&str> = of(&Reach::Table);
    let excess = own.into_iter().filter(|right| !needed.contains(right));
    report.excess.extend(excess.map(|right| format!("{right} on {name}")));
    if let Some(operations) = &sync.operations {
        let place = operations.schema.as_deref().unwrap_or(schema);
        let (there, create) = match is_there(connection, operations).await? {
            true => (true, ""),
            false => (false, "CREATE, "),
        };
        let creates = rights.iter().any(|(reach, right)| *reach != Reach::Table && right == "CREATE");
        if place != schema || user.has_roles {
            report.unknowable.push(format!("the rights on {operations}"));
        } else if !there && !creates {
            report.missing.push(format!("CREATE on {operations}"));
        }
        let table = format!("{}.{}", quoted(place, '`'), quoted(&operations.table, '`'));
        report.grants.push(format!("GRANT {create}SELECT, INSERT, DELETE ON {table} TO {grantee};"));
    }
    Ok(report)
}
