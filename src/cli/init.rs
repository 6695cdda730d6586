//! `backhaul init`: a project that runs as it is.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Engine, Exit, Failure, Screen, project, schema};

const EXAMPLES: &str = "\
Examples:
  backhaul init                 here
  backhaul init crm             in a new folder

It writes an example: a small SQLite file as the warehouse, one model, one sync into a folder of files. Nothing that is \
there already is touched.";

/// Make a project that runs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder; made where it is missing
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

/// The example's files. `backhaul.toml` comes last: it is what makes the folder a project.
const FILES: [(&str, &str); 4] = [
    ("models/customers.toml", include_str!("init/model.toml")),
    ("syncs/customers.toml", include_str!("init/sync.toml")),
    (".gitignore", include_str!("init/gitignore")),
    (project::FILE, include_str!("init/backhaul.toml")),
];
const DATABASE: &str = "example.db";
const TABLES: &str = include_str!("init/example.sql");
/// Beside the state's folder, not in it: a copy of the state alone tells nothing.
const KEY: &str = ".backhaul/key";

pub(super) async fn init(screen: &Screen, engine: &dyn Engine, args: &Args) -> Result<Exit, Failure> {
    let root = &args.folder;
    let taken: Vec<&str> = FILES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != ".gitignore")
        .chain([DATABASE, KEY])
        .filter(|name| root.join(name).exists())
        .collect();
    if !taken.is_empty() {
        return Err(Failure::usage(format!("{} has {} already", root.display(), taken.join(", ")))
            .remedy("nothing was changed; name another folder: `backhaul init FOLDER`"));
    }
    schema::write(engine, root)?;
    engine.create_key(&root.join(KEY))?;
    let mut created = vec![schema::FOLDER, KEY];
    example_database(&root.join(DATABASE)).await?;
    created.push(DATABASE);
    for (name, text) in FILES {
        if name == ".gitignore" && root.join(name).exists() {
            screen.warn(".gitignore is there already: add `.backhaul/*` to it, for the key must not be committed");
            continue;
        }
        write_new(&root.join(name), text)?;
        created.push(name);
    }
    let enter = if root == Path::new(".") { String::new() } else { format!("cd {}\n  ", root.display()) };
    screen.show(&json!({ "folder": root, "created": created }), |_| {
        let lines: Vec<String> = created.iter().map(|name| format!("  {name}")).collect();
        format!("made a project in {}\n{}", root.display(), lines.join("\n"))
    })?;
    screen.note(&format!(
        "\nNext:\n  {enter}backhaul plan customers     what would be sent\n  backhaul run customers      send it, into exports/"
    ));
    Ok(Exit::Ok)
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(path))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display())))
}

async fn example_database(path: &Path) -> Result<(), Failure> {
    let failed = |e: sqlx::Error| Failure::new(Exit::Failed, format!("cannot make {}: {e}", path.display()));
    let mut connection =
        SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.map_err(failed)?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}
