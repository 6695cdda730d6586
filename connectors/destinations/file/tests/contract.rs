//! The suite of the kit.

use std::sync::Arc;

use backhaul_kit::contract::{Subject, canary_kit, row};
use backhaul_kit::{Kit, Operation, Prepared, Row, Value};

use super::prepared;

struct Folder(tempfile::TempDir, &'static str);

impl Folder {
    fn new(into: &'static str) -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"), into)
    }
}

impl Subject for Folder {
    fn prepare(&self, _url: &str) -> Arc<dyn Prepared> {
        prepared(self.0.path(), self.1, &["id"], &["email"])
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.0.path())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![Operation::Upsert, Operation::Delete]
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        let fields = if operation.is_removal() { Vec::new() } else { vec![Value::Text("a@example.com".into())] };
        row(op, i64::try_from(op).expect("a small number"), fields)
    }
}

mod full {
    use super::*;
    backhaul_kit::contract_tests!(Folder::new("format = \"csv\"\nset = \"full\""));
}

mod changes {
    use super::*;
    backhaul_kit::contract_tests!(Folder::new("format = \"jsonl\"\nset = \"changes\""));
}
