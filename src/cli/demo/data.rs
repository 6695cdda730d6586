//! The demo's warehouse: an SQLite file of realistic customers, and the changes that the demo makes to it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

/// How many customers the demo starts with.
pub(super) const CUSTOMERS: u64 = 20_000;

const FIRST: &[&str] = &[
    "Anna",
    "Ben",
    "Carla",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hiro",
    "Ines",
    "Jamal",
    "Katarzyna",
    "Luca",
    "Mei",
    "Noah",
    "Olga",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Thabo",
    "Ursula",
    "Víctor",
    "Wanjiru",
    "Xavier",
    "Yuki",
    "Zoë",
];
const LAST: &[&str] = &[
    "Abebe",
    "Becker",
    "Costa",
    "Dubois",
    "Eriksson",
    "Fernández",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindberg",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Papadopoulos",
    "Quispe",
    "Rossi",
    "Schneider",
    "Tanaka",
    "Usman",
    "Virtanen",
    "Wagner",
    "Yılmaz",
    "Zhang",
];
const CITIES: &[(&str, &str)] = &[
    ("Berlin", "DE"),
    ("Hamburg", "DE"),
    ("München", "DE"),
    ("Wien", "AT"),
    ("Zürich", "CH"),
    ("Paris", "FR"),
    ("Lyon", "FR"),
    ("Madrid", "ES"),
    ("Lisboa", "PT"),
    ("Milano", "IT"),
    ("Warszawa", "PL"),
    ("Praha", "CZ"),
    ("København", "DK"),
    ("Stockholm", "SE"),
    ("Dublin", "IE"),
];
const PLANS: &[&str] = &["free", "free", "free", "starter", "starter", "pro"];

/// A small deterministic generator (splitmix64): the same customers in every demo.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.roll() % from.len() as u64) as usize]
    }
}

/// The demo's warehouse, opened for writing: the part of a transformation tool.
pub(super) struct Warehouse {
    connection: SqliteConnection,
}

impl Warehouse {
    /// Creates the file with its customers.
    pub(super) async fn create(path: &Path) -> Result<Self, sqlx::Error> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .connect()
            .await?;
        connection
            .execute(
                "create table customers (
                    customer_id integer primary key, email text not null, first_name text not null,
                    last_name text not null, city text not null, country text not null, plan text not null,
                    lifetime_value real not null, signed_up_on text not null)",
            )
            .await?;
        let mut warehouse = Self { connection };
        warehouse.insert(1, CUSTOMERS).await?;
        Ok(warehouse)
    }

    /// Inserts customers `first..first + count`.
    pub(super) async fn insert(&mut self, first: u64, count: u64) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        for id in first..first + count {
            let mut dice = Dice(id);
            let (first_name, last_name) = (*dice.pick(FIRST), *dice.pick(LAST));
            let (city, country) = *dice.pick(CITIES);
            let email = format!("{}.{}{id}@example.com", ascii(first_name), ascii(last_name));
            sqlx::query("insert into customers values (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(id as i64)
                .bind(email)
                .bind(first_name)
                .bind(last_name)
                .bind(city)
                .bind(country)
                .bind(*dice.pick(PLANS))
                .bind((dice.roll() % 500_000) as f64 / 100.0)
                .bind(format!("20{:02}-{:02}-{:02}", 18 + dice.roll() % 8, 1 + dice.roll() % 12, 1 + dice.roll() % 28))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Runs a statement of the demo and says how many rows it touched.
    pub(super) async fn change(&mut self, sql: &'static str) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query(sql).execute(&mut self.connection).await?.rows_affected())
    }

    /// What the destination should hold: id, e-mail, plan and city of every customer.
    pub(super) async fn expected(&mut self) -> Result<Vec<[String; 4]>, sqlx::Error> {
        let rows =
            sqlx::query("select cast(customer_id as text), email, plan, city from customers order by customer_id")
                .fetch_all(&mut self.connection)
                .await?;
        rows.iter().map(|row| Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?])).collect()
    }
}

/// Letters that an e-mail address of the demo may have.
fn ascii(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .filter_map(|c| match c {
            'a'..='z' => Some(c),
            'ø' | 'ó' => Some('o'),
            'í' | 'ı' => Some('i'),
            'á' => Some('a'),
            'ë' | 'é' => Some('e'),
            'ü' => Some('u'),
            _ => None,
        })
        .collect()
}
