//! The suite of the kit, without a server.

use std::sync::Arc;

use backhaul_kit::contract::{CANARY, Subject, canary_kit, row};
use backhaul_kit::{DestinationKind, Kit, Operation, Prepared, Row};

use super::super::super::fixture;
use super::{found_by, text};

struct Table(tempfile::TempDir, &'static DestinationKind);

impl Table {
    fn of(kind: &'static DestinationKind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("{}://user:{CANARY}@127.0.0.1:9/shop", kind.name);
        std::fs::write(folder.path().join("url"), url).expect("written");
        Self(folder, kind)
    }
}

impl Subject for Table {
    fn prepare(&self, _url: &str) -> Arc<dyn Prepared> {
        let text =
            "[account]\nurl = { file = \"url\" }\n[into]\nobject = \"a.b\"\nmatch = \"id\"\nremoved = \"delete\"";
        fixture::prepared(self.1, text, &["id"], &["id", "name"])
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.0.path())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![Operation::Upsert, Operation::Move, Operation::Delete]
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        let id = op.to_string();
        let fields = if operation.is_removal() { Vec::new() } else { vec![text(&id), text("Ann")] };
        found_by(row(op, i64::try_from(op).expect("small"), fields), &id)
    }
}

mod postgres {
    use super::*;
    backhaul_kit::contract_tests!(Table::of(&super::super::super::POSTGRES));
}

#[cfg(feature = "mariadb")]
mod mariadb {
    use super::*;
    backhaul_kit::contract_tests!(Table::of(&super::super::super::MARIADB));
}
