//! The warehouse: a folder.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{Fault, Kit, Model, ModelQuery, Scan, Source, SourceReport, WarehouseConfig};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use tokio::task::spawn_blocking;

use super::config::FilesConfig;
use super::listing::{Place, no_root};
use super::scan::{FilesScan, pattern};

/// How long files must have been as they are, where the operator says nothing.
const QUIET: Duration = Duration::from_secs(10);

impl WarehouseConfig for FilesConfig {
    fn check_query(&self, query: &ModelQuery) -> Result<(), Fault> {
        pattern(query).map(|_| ())
    }

    fn times_in_text(&self) -> bool {
        true
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Source>, Fault> {
        let place = Place {
            root: kit.secrets.project_path(&self.root),
            done: self.done.clone(),
            quiet: self.quiet.unwrap_or(QUIET),
        };
        Ok(Arc::new(FilesSource { place }))
    }
}

/// A folder of files.
struct FilesSource {
    place: Place,
}

#[async_trait]
impl Source for FilesSource {
    async fn check(&self) -> Result<SourceReport, Fault> {
        let root = self.place.root.clone();
        let looked = spawn_blocking(move || {
            std::fs::read_dir(&root).map_err(|e| no_root(&root, &e))?;
            // Only whether entries can be made: what the files themselves allow is each one's own matter.
            let writable = accessat(CWD, &root, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
            let excess = if writable { vec![String::from("to write into it")] } else { Vec::new() };
            Ok(SourceReport { server: format!("folder {}", root.display()), excess, ..SourceReport::default() })
        });
        looked.await.map_err(|e| Fault::bug("looking at a folder ended early").caused_by(e))?
    }

    async fn open(&self, model: &Model) -> Result<Box<dyn Scan>, Fault> {
        Ok(Box::new(FilesScan::open(self.place.clone(), model).await?))
    }
}
