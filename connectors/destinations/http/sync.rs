//! A sync's `[into]` at an HTTP API: which call does what.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem};
use backhaul_kit::http::Http;
use backhaul_kit::nested::Nest;
use backhaul_kit::{Destination, Facts, Fault, Kit, Mode, Operation, Prepared, Removed, SyncShape};

use super::account::HttpAccount;
use super::read_back::ReadBack;
use super::request::{Call, Purpose};
use super::send::HttpDestination;
use super::template::Names;

/// A checked sync.
#[derive(Clone, Debug)]
pub(super) struct HttpSync {
    pub(super) account: HttpAccount,
    pub(super) object: String,
    pub(super) write: Arc<Call>,
    pub(super) remove: Option<Arc<Call>>,
    /// How the API is asked whether a row is there.
    pub(super) read_back: Option<Arc<ReadBack>>,
    pub(super) nest: Nest,
    pub(super) names: Names,
}

impl HttpSync {
    /// Reads what is left of `[into]`; problems go to it.
    pub(super) fn read(account: &HttpAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let names = Names { fields: shape.targets(), key: shape.key.clone() };
        if !into.has("request") {
            into.missing("request");
        }
        let write = into.table("request").and_then(|table| Call::read(account, table, shape, &names, Purpose::Write));
        let remove = read_remove(account, into, shape, &names);
        let read_back = into.table("read_back").and_then(|table| ReadBack::read(table, &names)).map(Arc::new);
        let nest = shape.nest(into.problems());
        let object = shape.object.as_ref().map_or_else(|| shape.name.clone(), |(object, _)| object.clone());
        Some(Self { account: account.clone(), object, write: Arc::new(write?), remove, read_back, nest: nest?, names })
    }

    /// The call that does `operation`.
    pub(super) fn call(&self, operation: Operation) -> Option<&Arc<Call>> {
        if operation.is_removal() { self.remove.as_ref() } else { Some(&self.write) }
    }
}

fn read_remove(account: &HttpAccount, into: &mut ConfigTable, shape: &SyncShape, names: &Names) -> Option<Arc<Call>> {
    let (removed, span) = &shape.removed;
    let needed = shape.mode.0 == Mode::Audience || *removed != Removed::Ignore;
    match (into.table("remove"), needed) {
        (Some(table), true) => Call::read(account, table, shape, names, Purpose::Remove).map(Arc::new),
        (Some(table), false) => {
            into.problems().push(
                Problem::error("remove-unused", "`[into.remove]` is never called: removed rows are ignored")
                    .at(table.span())
                    .remedy("set `removed = \"delete\"` or \"archive\", or take the table out"),
            );
            None
        }
        (None, true) => {
            into.problems().push(
                Problem::error("missing-key", "`[into]` needs `[into.remove]`: the call that removes a row")
                    .at(span)
                    .remedy("add it, or set `removed = \"ignore\"`"),
            );
            None
        }
        (None, false) => None,
    }
}

impl Prepared for HttpSync {
    fn facts(&self, operation: Operation) -> Facts {
        let facts = self.call(operation).map(|call| call.facts(&self.account)).unwrap_or_default();
        // A removed row has no fields to ask for it by.
        Facts { read_back: self.read_back.is_some() && !operation.is_removal(), ..facts }
    }

    fn object(&self) -> String {
        self.object.clone()
    }

    fn gives_ids(&self) -> bool {
        self.write.success.gives_ids()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let options = self.account.options(&kit);
        let http =
            Http::new(&options, self.account.credential.auth(&kit, &options)?, self.account.shared_limiter(&kit))?;
        Ok(Arc::new(HttpDestination::new(self.clone(), http)))
    }
}
