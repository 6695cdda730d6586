//! A run's file: staged, filled, committed.
//!
//! `finish` goes through four states, and each can be told from the names in the folder, so that a commit
//! that was interrupted is completed by calling it again:
//!
//! 1. the staged file is written and synced;
//! 2. the staged manifest is written and synced: from here on the file is known to be complete;
//! 3. the staged file has its own name;
//! 4. the staged manifest has its own name, and the folder is synced.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use backhaul_kit::value::hex;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, FaultClass, Outcomes, RequestPreview, Run, Ticket, Tickets,
    Verdict,
};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

use super::account::{FileSync, Set};
use super::manifest::Manifest;

const TICKET_KIND: &str = "file";
const TICKET_VERSION: u32 = 1;

/// An opened destination.
#[derive(Debug)]
pub(super) struct FileDestination {
    sync: FileSync,
    folder: PathBuf,
    staging: Mutex<Option<Staging>>,
}

/// What a ticket holds: names within the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    staged: String,
    staged_manifest: String,
    file: String,
    manifest: String,
}

/// A staged file that is being filled.
struct Staging {
    names: Names,
    file: File,
    digest: Context,
    manifest: Manifest,
    /// Set when a write failed and the file's end could not be restored.
    broken: bool,
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Staging({}, {} rows)", self.names.staged, self.manifest.rows)
    }
}

impl FileDestination {
    pub(super) fn new(sync: FileSync, folder: PathBuf) -> Self {
        Self { sync, folder, staging: Mutex::new(None) }
    }

    fn names(&self, run: &Run) -> Names {
        let (stem, ending) = (&self.sync.stem, self.sync.layout.ending());
        let id: String = run.id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let base = match self.sync.set {
            Set::Full => stem.clone(),
            Set::Changes => format!("{stem}.{}.{id}", run.started.strftime("%Y%m%dT%H%M%SZ")),
        };
        Names {
            staged: format!("{}{id}.staged", self.staged_prefix()),
            staged_manifest: format!("{}{id}.staged-manifest", self.staged_prefix()),
            file: format!("{base}.{ending}"),
            manifest: format!("{base}.manifest.json"),
        }
    }

    /// No stem has a tilde: what begins so belongs to this file alone.
    fn staged_prefix(&self) -> String {
        format!(".{}~", self.sync.stem)
    }

    /// Removes what runs that were given up left behind.
    async fn remove_stale(&self) -> Result<(), Fault> {
        let prefix = self.staged_prefix();
        let mut entries = fs::read_dir(&self.folder).await.map_err(|e| fault(&self.folder, "read", e))?;
        while let Some(entry) = entries.next_entry().await.map_err(|e| fault(&self.folder, "read", e))? {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                fs::remove_file(entry.path()).await.map_err(|e| fault(&entry.path(), "remove", e))?;
            }
        }
        Ok(())
    }

    async fn sync_folder(&self) -> Result<(), Fault> {
        let folder = File::open(&self.folder).await.map_err(|e| fault(&self.folder, "open", e))?;
        folder.sync_all().await.map_err(|e| fault(&self.folder, "sync", e))
    }

    /// States 3 and 4, from whichever was reached.
    async fn put_in_place(&self, names: &Names, run: &Run) -> Result<Delivery, Fault> {
        let path = |name: &str| self.folder.join(name);
        let staged_manifest = path(&names.staged_manifest);
        let Some(manifest) = read_manifest(&staged_manifest).await? else {
            // Nothing is staged: either all is done, or the session was lost before it was complete.
            let done = read_manifest(&path(&names.manifest)).await?.is_some_and(|manifest| manifest.run == run.id);
            if done {
                return Ok(Delivery::Committed);
            }
            return Err(Fault::transient(format!("the staged file of run {} is gone or was never completed", run.id))
                .remedy("run again: nothing of this session was put in place"));
        };
        let (staged, file) = (path(&names.staged), path(&names.file));
        match fs::rename(&staged, &file).await {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if digest_of(&file).await? != manifest.sha256 {
                    return Err(Fault::transient(format!(
                        "{} is not the file that run {} staged",
                        file.display(),
                        run.id
                    )));
                }
            }
            Err(e) => return Err(fault(&file, "write", e)),
        }
        // The file before its manifest, durably: a manifest never speaks of a file that is not there yet.
        self.sync_folder().await?;
        fs::rename(&staged_manifest, path(&names.manifest)).await.map_err(|e| fault(&staged_manifest, "rename", e))?;
        self.sync_folder().await?;
        Ok(Delivery::Committed)
    }
}

#[async_trait]
impl Destination for FileDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let folder = match fs::canonicalize(&self.folder).await {
            Ok(folder) => folder,
            // `begin` makes the folder itself, but not what it lies in.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let parent = self.folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let parent = fs::canonicalize(parent).await.map_err(|e| fault(parent, "find", e))?;
                parent.join(self.folder.file_name().unwrap_or_default())
            }
            Err(e) => return Err(fault(&self.folder, "find", e)),
        };
        let meta = fs::metadata(&folder).await;
        if meta.is_ok_and(|meta| !meta.is_dir()) {
            return Err(Fault::config(format!("{} is not a folder", folder.display())));
        }
        let path = folder.display().to_string();
        Ok(AccountReport { identity: format!("file:{path}"), label: path, ..AccountReport::default() })
    }

    async fn begin(&self, run: &Run) -> Result<Option<Ticket>, Fault> {
        let mut staging = self.staging.lock().await;
        *staging = None;
        match fs::create_dir(&self.folder).await {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(fault(&self.folder, "make", e)),
        }
        self.remove_stale().await?;
        let names = self.names(run);
        let path = self.folder.join(&names.staged);
        let file = File::create_new(&path).await.map_err(|e| fault(&path, "write", e))?;
        let manifest = Manifest::new(&names.file, run, &self.sync.layout.columns());
        let ticket = Ticket {
            kind: TICKET_KIND.into(),
            version: TICKET_VERSION,
            body: serde_json::to_value(&names).map_err(|e| Fault::bug("a ticket that is no JSON").caused_by(e))?,
        };
        let mut new = Staging { names, file, digest: Context::new(&SHA256), manifest, broken: false };
        let mut head = Vec::new();
        self.sync.layout.head(&mut head);
        new.append(&head, 0).await.map_err(|e| fault(&path, "write", e))?;
        *staging = Some(new);
        Ok(Some(ticket))
    }

    async fn write(&self, _run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        if batch.rows.is_empty() {
            return Ok(Delivery::Staged);
        }
        let names = names_of(tickets.session)?;
        let mut lines = Vec::with_capacity(batch.rows.len() * 128);
        let rows = match self.sync.layout.write(batch, &mut lines) {
            Ok(rows) => rows,
            // Rejected rows are settled at once; the others still wait for the commit.
            Err(reason) if batch.rows.len() == 1 => {
                return Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Rejected(reason))));
            }
            Err(reason) => return Err(Fault::split(format!("one of the rows cannot be written ({})", reason.code))),
        };
        let mut staging = self.staging.lock().await;
        let path = self.folder.join(&names.staged);
        let Some(staging) = staging.as_mut().filter(|staging| staging.names == names && !staging.broken) else {
            return Err(lost(&path));
        };
        staging.append(&lines, rows).await.map_err(|e| fault(&path, "write", e))?;
        Ok(Delivery::Staged)
    }

    async fn finish(&self, run: &Run, session: &Ticket) -> Result<Delivery, Fault> {
        let names = names_of(Some(session))?;
        let mut slot = self.staging.lock().await;
        if let Some(staging) = slot.take_if(|staging| staging.names == names) {
            let path = self.folder.join(&names.staged);
            if staging.broken {
                return Err(lost(&path));
            }
            staging.file.sync_all().await.map_err(|e| fault(&path, "sync", e))?;
            let mut manifest = staging.manifest;
            manifest.sha256 = hex(staging.digest.finish().as_ref());
            write_synced(&self.folder.join(&names.staged_manifest), &manifest.to_json()).await?;
            self.sync_folder().await?;
        }
        self.put_in_place(&names, run).await
    }

    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let mut lines = Vec::new();
        self.sync
            .layout
            .write(batch, &mut lines)
            .map_err(|reason| Fault::config(format!("this row cannot be written: {}", reason.text)))?;
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![RequestPreview {
            method: "append".into(),
            target: self.folder.join(self.names(run).file).display().to_string(),
            headers: Vec::new(),
            body: String::from_utf8_lossy(&lines).into_owned(),
        }])
    }
}

impl Staging {
    /// Appends whole lines, or nothing.
    async fn append(&mut self, lines: &[u8], rows: u64) -> std::io::Result<()> {
        let written = async {
            self.file.write_all(lines).await?;
            self.file.flush().await
        }
        .await;
        if let Err(error) = written {
            // Without this the batch, sent again, would follow a torn line.
            let restored = async {
                self.file.set_len(self.manifest.bytes).await?;
                self.file.seek(std::io::SeekFrom::Start(self.manifest.bytes)).await
            }
            .await;
            self.broken = restored.is_err();
            return Err(error);
        }
        self.digest.update(lines);
        self.manifest.bytes += lines.len() as u64;
        self.manifest.rows += rows;
        Ok(())
    }
}

fn names_of(session: Option<&Ticket>) -> Result<Names, Fault> {
    let ticket = session.ok_or_else(|| Fault::bug("a write to a file outside a session"))?;
    if ticket.kind != TICKET_KIND || ticket.version != TICKET_VERSION {
        return Err(Fault::bug(format!("a ticket `{}` of version {}", ticket.kind, ticket.version)));
    }
    let names: Names = serde_json::from_value(ticket.body.clone())
        .map_err(|e| Fault::bug("a ticket that does not name a staged file").caused_by(e))?;
    Ok(names)
}

/// The bytes of a session are only known to the process that wrote them.
fn lost(path: &Path) -> Fault {
    Fault::transient(format!("the session of {} was interrupted", path.display()))
        .remedy("run again: nothing of this session was put in place")
}

async fn read_manifest(path: &Path) -> Result<Option<Manifest>, Fault> {
    match fs::read(path).await {
        // What does not parse is not one of ours that was completed.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fault(path, "read", e)),
    }
}

pub(super) async fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let write = async {
        let mut file = File::create(path).await?;
        file.write_all(bytes).await?;
        file.flush().await?;
        file.sync_all().await
    };
    write.await.map_err(|e| fault(path, "write", e))
}

async fn digest_of(path: &Path) -> Result<String, Fault> {
    let mut digest = Context::new(&SHA256);
    let mut file = File::open(path).await.map_err(|e| fault(path, "read", e))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).await.map_err(|e| fault(path, "read", e))? {
            0 => return Ok(hex(digest.finish().as_ref())),
            n => digest.update(&buffer[..n]),
        }
    }
}

/// What a failed file operation means. Nothing that is staged counts yet, so nothing was applied.
fn fault(path: &Path, what: &str, error: std::io::Error) -> Fault {
    let (class, remedy) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (FaultClass::Transient, "free space on that disk, then run again: the file in place is untouched")
        }
        ErrorKind::NotFound => (FaultClass::Config, "make the folder, or correct `path` of the destination"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (FaultClass::Config, "let this user write to the folder, or choose another `path`")
        }
        ErrorKind::NotADirectory => (FaultClass::Config, "correct `path` of the destination: it must be a folder"),
        _ => (FaultClass::Transient, "check the disk, then run again: the file in place is untouched"),
    };
    let plain = match error.kind() {
        ErrorKind::StorageFull => String::from("no space left on the disk"),
        kind => kind.to_string(),
    };
    Fault::new(class, format!("cannot {what} {}: {plain}", path.display())).remedy(remedy).caused_by(error)
}
