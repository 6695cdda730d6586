//! A project on disk, written as an operator would write it, and its program.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::program::{self, Finished, Running};
use super::sink_process::Sink;
use super::warehouse::Warehouse;

/// The name of the sync that most tests run.
pub(crate) const SYNC: &str = "customers-api";

/// The token that a sink started with `--token` is told to want.
pub(crate) const TOKEN: &str = "sink-token-4711";

/// A project folder; dropping it removes it.
pub(crate) struct Project {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), environment: Vec::new() }
    }

    /// A copy of the files in a folder and in the folders below it.
    pub(crate) fn copy_of(folder: &Path) -> Self {
        let project = Self::empty();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).expect("a path below the folder");
                    let text = std::fs::read_to_string(&path).expect("a text file");
                    project.write(name.to_str().expect("a plain name"), &text);
                }
            }
        }
        project
    }

    /// A `backhaul.toml` with this warehouse, as `analytics`.
    pub(crate) fn new(warehouse: &Warehouse) -> Self {
        let mut project = Self::empty();
        let table = match (warehouse.file(), warehouse.url()) {
            (Some(file), _) => format!("type = \"sqlite\"\npath = {:?}\n", file.display().to_string()),
            (_, url) => {
                project.set_variable("WAREHOUSE_URL", &url.expect("a URL"));
                "type = \"postgres\"\nurl = { env = \"WAREHOUSE_URL\" }\n".to_owned()
            }
        };
        project.write("backhaul.toml", &format!("version = 1\n\n[warehouses.analytics]\n{table}"));
        project
    }

    /// The table `customers` to the sink, in batches of 100, removals included: most tests' project.
    pub(crate) fn customers(warehouse: &Warehouse, sink: &Sink) -> Self {
        let mut project = Self::new(warehouse);
        project.add_sink(&sink.url());
        project.write("models/customers.toml", &model("select * from customers", "id"));
        project.write(&sync_file(), &sync("customers", 100));
        project
    }

    /// Adds the sink as the destination `api`.
    pub(crate) fn add_sink(&mut self, url: &str) {
        self.set_variable("SINK_TOKEN", TOKEN);
        let table =
            format!("\n[destinations.api]\ntype = \"http\"\nurl = \"{url}\"\ntoken = {{ env = \"SINK_TOKEN\" }}\n");
        self.append("backhaul.toml", &table);
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(path, text).expect("the file is written");
    }

    /// Adds text to a file's end.
    pub(crate) fn append(&self, path: &str, text: &str) {
        let old = std::fs::read_to_string(self.path(path)).expect("the file");
        self.write(path, &(old + text));
    }

    /// Replaces text of a file, which must be there.
    #[track_caller]
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let old = std::fs::read_to_string(self.path(path)).expect("the file");
        assert!(old.contains(from), "{path} has no `{from}`:\n{old}");
        self.write(path, &old.replace(from, to));
    }

    /// A path below the project's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.path(".backhaul/state")
    }

    /// Runs the program in the project's folder, to its end.
    pub(crate) fn backhaul(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish()
    }

    /// Starts the program in the project's folder.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        program::start(self.folder.path(), &self.environment, arguments)
    }

    /// `backhaul run` of [`SYNC`].
    pub(crate) fn run(&self) -> Finished {
        self.backhaul(&["run", SYNC])
    }
}

/// A model file.
pub(crate) fn model(sql: &str, key: &str) -> String {
    format!("warehouse = \"analytics\"\nsql = '''{sql}'''\nkey = [\"{key}\"]\n")
}

/// The file of [`SYNC`].
pub(crate) fn sync_file() -> String {
    format!("syncs/{SYNC}.toml")
}

/// `success` of the sink, whose answers name rows.
pub(crate) const SUCCESS: &str = "{ evidence = \"row\", results = \"results\", index = \"index\", \
                                  ok = { field = \"ok\", value = true }, error = \"error.message\", \
                                  error_code = \"error.code\" }";

/// A sync of a model with the columns of `customers` to the sink.
pub(crate) fn sync(model: &str, batch_size: usize) -> String {
    format!(
        r#"model = "{model}"
destination = "api"

[into]
mode = "upsert"
removed = "delete"
same_name = ["id", "email", "name", "plan"]

[into.request]
url = "/rows"
batch_size = {batch_size}
idempotency = {{ header = "Idempotency-Key" }}
success = {SUCCESS}

[into.remove]
url = "/rows"
batch_size = {batch_size}
key_field = "id"
success = {SUCCESS}
"#
    )
}
