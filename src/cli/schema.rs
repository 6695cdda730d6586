//! `backhaul schema`.

use std::fs;
use std::path::Path;

use super::{Engine, Exit, Failure, SchemaFile, Screen, project};

const EXAMPLES: &str = "\
Examples:
  backhaul schema sync         the schema of syncs/*.toml
  backhaul schema --write      put all three where the files' #:schema lines look for them

Editors with a TOML language server check and complete by them.";

/// Where `#:schema` lines of a project point to, below its folder.
pub(super) const FOLDER: &str = ".backhaul/schema";

/// The schemas and their files' names.
const FILES: [(SchemaFile, &str); 3] =
    [(SchemaFile::Backhaul, "backhaul.json"), (SchemaFile::Model, "model.json"), (SchemaFile::Sync, "sync.json")];

/// Print the JSON Schema of the project's files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// backhaul, model or sync
    #[arg(value_name = "FILE", value_enum, default_value_t = SchemaFile::Backhaul, hide_possible_values = true)]
    file: SchemaFile,
    /// Write all three into the project instead of printing one
    #[arg(long, conflicts_with = "file")]
    write: bool,
}

pub(super) fn schema(
    screen: &Screen,
    engine: &dyn Engine,
    config: Option<&Path>,
    args: &Args,
) -> Result<Exit, Failure> {
    if args.write {
        let root = project::find(config)?;
        write(engine, &root)?;
        screen.note(&format!("wrote {}", root.join(FOLDER).display()));
    } else {
        screen.print(&text(engine, args.file)?)?;
    }
    Ok(Exit::Ok)
}

/// Writes the schemas into the project; older ones are replaced.
pub(super) fn write(engine: &dyn Engine, root: &Path) -> Result<(), Failure> {
    let folder = root.join(FOLDER);
    let failed =
        |path: &Path, e: &std::io::Error| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display()));
    fs::create_dir_all(&folder).map_err(|e| failed(&folder, &e))?;
    for (file, name) in FILES {
        let path = folder.join(name);
        fs::write(&path, text(engine, file)? + "\n").map_err(|e| failed(&path, &e))?;
    }
    Ok(())
}

fn text(engine: &dyn Engine, file: SchemaFile) -> Result<String, Failure> {
    serde_json::to_string_pretty(&engine.schema(file))
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write the schema: {e}")))
}
