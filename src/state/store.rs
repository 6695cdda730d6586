//! Opening the database: folder, permissions, schema.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlSafeStr as _, Sqlite, Transaction};

use super::{BUSY, FILE, Sealer, StateError};

/// Every step of the schema, oldest first. A step that was released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("migrations/0001_first.sql")),
    (2, "guards", include_str!("migrations/0002_guards.sql")),
    (3, "warnings", include_str!("migrations/0003_warnings.sql")),
    (4, "quotas", include_str!("migrations/0004_quotas.sql")),
    (5, "lists", include_str!("migrations/0005_lists.sql")),
    (6, "fields", include_str!("migrations/0006_fields.sql")),
];

/// The state of one project. Cloning shares the connections.
#[derive(Clone)]
pub struct State {
    pub(super) pool: SqlitePool,
    pub(super) sealer: Arc<dyn Sealer>,
}

impl State {
    /// Opens the state in the folder `dir`, making both where they are missing (0700 and 0600), and brings the
    /// schema up to date.
    ///
    /// # Errors
    /// A folder that cannot be used, a full disk, a damaged file, or one that a newer backhaul wrote.
    pub async fn open(dir: &Path, sealer: Arc<dyn Sealer>) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        // Held while the schema is looked at, so that of two processes that start at once one migrates.
        let _lock = {
            let (dir, path) = (dir.to_owned(), path.clone());
            tokio::task::spawn_blocking(move || prepare(&dir, &path))
                .await
                .map_err(|e| StateError::Database(e.to_string()))??
        };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "on")
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(BUSY * 2)
            // On a full disk SQLite rolls back by itself; the driver then takes the connection for one that is still in
            // a transaction, for ever.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await
            .map_err(|e| at_path(e.into(), &path))?;
        migrate(&pool).await.map_err(|e| at_path(e, &path))?;
        Ok(Self { pool, sealer })
    }

    /// Whether the folder `dir` has a state.
    pub fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Closes the connections; what was written is in the main file afterwards.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Encrypts with the state's key.
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, StateError> {
        self.sealer.seal(context, plain).ok_or(StateError::Sealing)
    }

    /// A transaction that writes: it takes the write lock at its start, so that what it reads cannot change
    /// before it writes.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StateError> {
        Ok(self.pool.begin_with("begin immediate").await?)
    }
}

/// Names the real file in an error that only knows the database.
fn at_path(error: StateError, path: &Path) -> StateError {
    match error {
        StateError::Unusable { reason, .. } => StateError::Unusable { path: path.to_owned(), reason },
        other => other,
    }
}

/// Makes the folder and the file with their permissions and returns the lock under which the schema is changed.
fn prepare(dir: &Path, path: &Path) -> Result<File, StateError> {
    let unusable = |path: &Path, e: &io::Error| {
        if e.kind() == io::ErrorKind::StorageFull {
            return StateError::DiskFull;
        }
        StateError::Unusable { path: path.to_owned(), reason: e.to_string() }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| unusable(dir, &e))?;
    let mut open = OpenOptions::new();
    // SQLite gives its side files the mode of the main one.
    open.read(true).append(true).create(true).mode(0o600);
    open.open(path).map_err(|e| unusable(path, &e))?;
    for file in [path.to_owned(), side_file(path, "-wal"), side_file(path, "-shm")] {
        tighten(&file).map_err(|e| unusable(&file, &e))?;
    }
    let lock_path = dir.join("state.lock");
    let lock = open.open(&lock_path).map_err(|e| unusable(&lock_path, &e))?;
    lock.lock().map_err(|e| unusable(&lock_path, &e))?;
    Ok(lock)
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes away what others may do with the file. Volumes of containers arrive with wider rights by themselves, so
/// this is put right and said, not refused.
fn tighten(file: &Path) -> io::Result<()> {
    let mode = match fs::metadata(file) {
        Ok(meta) => meta.permissions().mode() & 0o777,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if mode & 0o077 != 0 {
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
        tracing::warn!(file = %file.display(), mode = format!("{mode:04o}"), "file was open to others; set to 0600");
    }
    Ok(())
}

async fn migrate(pool: &SqlitePool) -> Result<(), StateError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            StateError::Newer { found, known: MIGRATIONS.last().map_or(0, |(version, ..)| *version) }
        }
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            StateError::Corrupt(format!("step {version} of its schema is not as this program made it"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StateError::Database(other.to_string()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sqlx::Row as _;

    /// Not encryption, but nothing stays readable and the context counts.
    pub(in crate::state) struct Scramble;

    impl Sealer for Scramble {
        fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
            let mut sealed = xxhash_rust::xxh3::xxh3_64(context).to_be_bytes().to_vec();
            sealed.extend(plain.iter().map(|b| b ^ 0xa5));
            Some(sealed)
        }

        fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
            let (mark, body) = sealed.split_at_checked(8)?;
            (mark == xxhash_rust::xxh3::xxh3_64(context).to_be_bytes()).then(|| body.iter().map(|b| b ^ 0xa5).collect())
        }
    }

    pub(in crate::state) async fn open(dir: &Path) -> State {
        State::open(dir, Arc::new(Scramble)).await.expect("the state opens")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn files_are_readable_by_their_owner_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("deep/state");
        let state = open(&folder).await;
        assert_eq!(mode(&folder), 0o700);
        for file in ["state.db", "state.db-wal", "state.db-shm", "state.lock"] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        state.close().await;
        fs::set_permissions(folder.join(FILE), Permissions::from_mode(0o664)).expect("set");
        open(&folder).await.close().await;
        assert_eq!(mode(&folder.join(FILE)), 0o600);
    }

    #[tokio::test]
    async fn a_folder_that_is_a_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("state");
        fs::write(&path, "x").expect("written");
        let error = State::open(&path, Arc::new(Scramble)).await.err().expect("refused");
        assert!(matches!(error, StateError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().expect("text")), "{error}");
    }

    #[tokio::test]
    async fn bytes_that_are_no_database_are_called_damaged() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join(FILE), [b"not a database ".as_slice(); 400].concat()).expect("written");
        let error = State::open(dir.path(), Arc::new(Scramble)).await.err().expect("refused");
        assert!(matches!(error, StateError::Corrupt(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (900, 'later', 1, x'00', 0)",
        )
        .execute(&state.pool)
        .await
        .expect("inserted");
        state.close().await;
        let error = State::open(dir.path(), Arc::new(Scramble)).await.err().expect("refused");
        let newest = MIGRATIONS.last().expect("steps").0;
        assert!(matches!(error, StateError::Newer { found: 900, known } if known == newest), "{error:?}");
        assert_eq!(error.exit_code(), 78);
    }

    #[tokio::test]
    async fn two_openings_at_once_migrate_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (one, two) = tokio::join!(open(dir.path()), open(dir.path()));
        for state in [one, two] {
            let rows = sqlx::query("select count(*) from _sqlx_migrations").fetch_one(&state.pool).await.expect("rows");
            assert_eq!(rows.get::<i64, _>(0), MIGRATIONS.len() as i64);
        }
    }

    /// A released step that was edited would be refused by every existing state.
    #[test]
    fn released_schema_steps_never_change() {
        let sums: Vec<String> = MIGRATIONS
            .iter()
            .map(|(version, name, sql)| format!("{version} {name} {:016x}", xxhash_rust::xxh3::xxh3_64(sql.as_bytes())))
            .collect();
        insta::assert_snapshot!(sums.join("\n"));
    }
}
