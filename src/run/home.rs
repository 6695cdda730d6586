//! Where the snapshot of a sync is to be, and how it gets there: into a table of the warehouse, and back into files.
//!
//! A move changes the form of a snapshot and nothing of what it says: what was accepted stays so, but equals no
//! fingerprint of the new place, so that the run after it compares field by field and sends nothing twice. The old
//! place is given up when the manifest names the new one.

use backhaul_kit::NewTable;
use futures_util::StreamExt as _;

use super::table::tables;
use super::{Ground, RunError, Runs, scan, unless_cancelled};
use crate::config::{DiffPlace, SyncDef};
use crate::snapshot::{Snapshot, SnapshotError, Store, TablePlace, random_name};

impl Runs {
    /// Brings the snapshot to where the sync's `diff` wants it. Called under the lease, before a scan.
    pub(super) async fn bring_home(&self, ground: &Ground<'_>) -> Result<(), RunError> {
        let (sync, store) = (ground.sync, &ground.site.store);
        let wanted = (sync.diff == DiffPlace::Warehouse).then_some(sync.model.warehouse.as_str());
        let is = store.table().map(|place| place.warehouse);
        if is.as_deref() == wanted {
            return Ok(());
        }
        if let Some(warehouse) = is {
            let snapshot = store.snapshot()?;
            unless_cancelled(&ground.cancel, self.move_to_files(&snapshot, &warehouse, store)).await?;
            tracing::info!(sync = %sync.name, from = %warehouse, "the snapshot is in the state folder now");
        }
        if let Some(warehouse) = wanted {
            let snapshot = store.snapshot()?;
            unless_cancelled(&ground.cancel, self.move_to_table(sync, &snapshot, store)).await?;
            tracing::info!(sync = %sync.name, to = warehouse, "the snapshot is in the warehouse now");
        }
        Ok(())
    }

    async fn move_to_table(&self, sync: &SyncDef, snapshot: &Snapshot, store: &Store) -> Result<(), RunError> {
        let opened = scan::open(&self.project, sync, &self.kit).await?;
        let shape = opened.scan.table_shape(&opened.mapper.projection(snapshot.seed()))?;
        // Its connection is not needed for what follows.
        drop(opened);
        let warehouse = &sync.model.warehouse;
        let source = self.table_source(warehouse)?;
        let tables = tables(source.as_ref())?;
        let table = NewTable {
            name: tables.name(&sync.name, &snapshot.owner()),
            sync: sync.name.clone(),
            generation: random_name().map_err(SnapshotError::from)?,
            shape,
        };
        let records = tables.create(&table, &mut snapshot.entries()).await?;
        fail::fail_point!("home::table_filled", |_| std::process::abort());
        let NewTable { name, generation, shape, .. } = table;
        let place = TablePlace { warehouse: warehouse.clone(), name, fingerprints: shape.fingerprints, records };
        store.move_into(place, generation)?;
        fail::fail_point!("home::moved_into_table", |_| std::process::abort());
        Ok(())
    }

    async fn move_to_files(&self, snapshot: &Snapshot, warehouse: &str, store: &Store) -> Result<(), RunError> {
        let source = self.table_source(warehouse)?;
        let tables = tables(source.as_ref())?;
        let Some(state) = snapshot.table_state() else { return Ok(()) };
        let mut records = tables.records(&state).await?;
        let mut import = store.import()?;
        while let Some(some) = records.next().await {
            for record in some? {
                import.push(&record)?;
            }
        }
        fail::fail_point!("home::files_written", |_| std::process::abort());
        import.commit()?;
        fail::fail_point!("home::moved_into_files", |_| std::process::abort());
        if let Err(error) = tables.remove(&state.name).await {
            tracing::warn!(table = %state.name, %error, "the snapshot's old table is not needed any more and could not be removed");
        }
        Ok(())
    }
}
