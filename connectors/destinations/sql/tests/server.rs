//! A database of one test on the server of the tests.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use backhaul_kit::DestinationKind;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A server with a database of the test's own.
#[async_trait]
pub(super) trait Server: Sized + Send + Sync {
    /// The database, where there is a server.
    async fn start() -> Option<Self>;

    /// Removes the database.
    async fn end(self);

    /// The kind of destination.
    fn kind(&self) -> &'static DestinationKind;

    /// Where the secret `url` is.
    fn folder(&self) -> &Path;

    /// Runs statements as the administrator.
    async fn run(&mut self, sql: &str);

    /// The values of the first column, as text.
    async fn column(&mut self, sql: &str) -> Vec<String>;

    /// How many statements of the destination wait for a lock.
    async fn waiting(&mut self) -> usize;

    /// Ends every connection of the destination; how many there were.
    async fn cut(&mut self) -> usize;

    /// Makes the destination come as a user who may do nothing yet. What it may do is granted to `weak`.
    async fn as_weak_user(&mut self);

    /// Returns when a statement of the destination waits for a lock.
    async fn until_one_waits(&mut self) {
        while self.waiting().await == 0 {
            // MariaDB shows the same picture for as long as it is asked more often than every 100 ms.
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    }
}

/// The server's address, from an environment variable.
pub(super) fn address(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("skipped: {variable} is not set (tests/run provides it)");
    }
    url
}

/// A name that no other test has.
pub(super) fn name() -> String {
    format!("d{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
