//! The project that is measured, and the sink that it delivers to.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use backhaul::config::{self, Project, SyncDef};
use backhaul_kit::config::Secrets;

use crate::{BATCH, Failure, users};

/// How a request gets its body.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// An array of the rows as objects.
    Plain,
    /// The same, written by a template.
    Template,
}

/// A project with one sync to `url`, in batches of [`BATCH`].
pub(crate) fn load(url: &str, body: Body) -> Result<Project, Failure> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
        std::fs::write(path, text)
    };
    write(
        "backhaul.toml",
        &format!(
            "version = 1\n[warehouses.none]\ntype = \"sqlite\"\npath = \"none.db\"\n\
             [destinations.api]\ntype = \"http\"\nurl = \"{url}\"\n"
        ),
    )?;
    write("models/users.toml", "warehouse = \"none\"\ntable = \"users\"\nkey = [\"id\"]\n")?;
    let body = match body {
        Body::Plain => String::new(),
        Body::Template => {
            let mut row = String::new();
            for (place, column) in users::COLUMNS.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                write!(row, "{comma}\"{column}\":{{{{ row.fields.{column} }}}}")?;
            }
            format!("body = '[{{% for row in rows %}}{{% if loop.index0 %}},{{% endif %}}{{{row}}}{{% endfor %}}]'")
        }
    };
    write(
        "syncs/users.toml",
        &format!(
            "model = \"users\"\ndestination = \"api\"\n[into]\nmode = \"upsert\"\nsame_name = {:?}\n\
             [into.request]\nurl = \"/rows\"\nbatch_size = {BATCH}\nresend_safe = true\n\
             success = {{ evidence = \"call\" }}\n{body}\n",
            users::COLUMNS
        ),
    )?;
    config::load(folder.path()).map_err(|problems| config::render(&problems, false).into())
}

/// Its sync.
pub(crate) fn sync(project: &Project) -> Result<&SyncDef, Failure> {
    Ok(project.syncs.get("users").ok_or("no sync")?)
}

/// Its secrets: there are none.
pub(crate) fn secrets(project: &Project) -> Secrets {
    Secrets::from_env(&project.root)
}

/// The counting sink of `tests/support/sink.rs`, in a process of its own; dropping it stops it.
pub(crate) struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    pub(crate) fn start() -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let program = own.ancestors().nth(2).unwrap_or(&own).join("examples/sink");
        let spawned = Command::new(&program).arg("--count-only").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| {
            format!("cannot start {}: {e}: run `cargo build --release --example sink`", program.display())
        })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse()? })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many rows arrived.
    pub(crate) fn rows(&self) -> Result<u64, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /__control/stats HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        let stats: serde_json::Value = serde_json::from_str(body)?;
        Ok(stats["rows"].as_u64().ok_or("no count")?)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Its stdin closes with the child handle, so it ends even if this fails.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
