//! The destinations of the matrix: how each is configured, and what a crash may cost there.

use crate::support::project::{Project, SUCCESS, SYNC, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// Rows in one call.
const BATCH: u64 = 100;
/// Calls in flight.
const CONCURRENCY: u64 = 4;
/// Verdicts that may wait for a sync: one synced group.
const GROUP: u64 = 10_000;

/// A way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// PUT: a call may be made again. Rows that left the model are ignored.
    Upsert,
    /// POST without an idempotency key: a call must not be made again. Rows in doubt go out with the next run.
    Append,
    /// The same, and rows in doubt are held until somebody decides.
    Held,
    /// A call becomes a job that is asked after.
    Job,
    /// As the model is: rows that left it are deleted.
    Mirror,
    /// A file of changes a run.
    File,
}

impl Kind {
    /// All.
    pub(super) const ALL: [Self; 6] = [Self::Upsert, Self::Append, Self::Held, Self::Job, Self::Mirror, Self::File];

    /// For the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Append => "append",
            Self::Held => "append, held",
            Self::Job => "job",
            Self::Mirror => "mirror",
            Self::File => "file",
        }
    }

    /// Whether rows that left the model leave the destination.
    pub(super) fn removes(self) -> bool {
        matches!(self, Self::Mirror | Self::File)
    }

    /// Whether a run comes by this failpoint.
    pub(super) fn comes_by(self, failpoint: &str) -> bool {
        match failpoint {
            // The rows of a file have one verdict together.
            "deliver::after_ack" => self != Self::File,
            "deliver::after_finish" => self == Self::File,
            "deliver::before_poll" | "deliver::after_poll" => self == Self::Job,
            // Elsewhere nothing comes into doubt: it is as `Append`.
            _ => self != Self::Held || failpoint.starts_with("deliver::"),
        }
    }

    /// How often a first load of so many rows comes by this failpoint at least, and how often a run of some hundred
    /// changes.
    pub(super) fn passes(self, failpoint: &str, rows: u64) -> (u64, u64) {
        let calls = rows / BATCH;
        match (self, failpoint) {
            (Self::File, _) => (1, 1),
            (_, "deliver::before_send" | "deliver::after_send" | "deliver::before_poll" | "deliver::after_poll")
            | (Self::Append | Self::Held | Self::Job, "deliver::before_dispatch") => (calls, 3),
            // Many intents share a sync.
            (Self::Append | Self::Held | Self::Job, "deliver::after_mark" | "deliver::after_ack") => {
                (calls / CONCURRENCY, 2)
            }
            _ => (1, 1),
        }
    }

    /// How many rows a kill at this failpoint may cost a second write.
    pub(super) fn most_again(self, failpoint: &str) -> u64 {
        match self {
            _ if !failpoint.starts_with("deliver::") => 0,
            Self::Upsert | Self::Mirror => GROUP,
            // For the held ones that is somebody's decision.
            Self::Append | Self::Held | Self::Job => BATCH * CONCURRENCY,
            // A file counts as a whole: it is written once more, under its name.
            Self::File if failpoint == "deliver::after_finish" => GROUP,
            Self::File => 0,
        }
    }

    /// A project of the table `customers` to this destination; with `held` a guard holds every plan.
    pub(super) fn project(self, warehouse: &Warehouse, sink: &Sink, held: bool) -> Project {
        let mut project = Project::new(warehouse);
        project.add_sink(&sink.url());
        project.append("backhaul.toml", "\n[destinations.exchange]\ntype = \"file\"\npath = \"out\"\n");
        project.write("models/customers.toml", &model("select * from customers", "id"));
        let limits = if held { "max_added = 1\nmax_changed = 1\n" } else { "" };
        // A step of values is never exceeded, and they are kept for it.
        let guards = format!("\n[guards]\n{limits}\n[guards.fields.id]\nmax_step = 1\n");
        project.write(&sync_file(), &format!("{}{guards}", self.sync()));
        project
    }

    fn sync(self) -> String {
        let call = |url: &str, success: &str| format!("url = \"{url}\"\nbatch_size = {BATCH}\nsuccess = {success}\n");
        let request = |method: &str, call: String| {
            format!("\n[into.request]\nmethod = \"{method}\"\nconcurrency = {CONCURRENCY}\n{call}")
        };
        let (rows, jobs) = (call("/rows", SUCCESS), call("/jobs", &SUCCESS.replace("evidence = \"row\"", JOB)));
        let remove = format!("\n[into.remove]\nkey_field = \"id\"\n{rows}");
        let (top, into, calls) = match self {
            Self::Upsert => ("", "mode = \"upsert\"\n", request("PUT", rows)),
            Self::Append => ("on_unknown = \"resend\"\n", "mode = \"append\"\n", request("POST", rows)),
            Self::Held => ("on_unknown = \"hold\"\n", "mode = \"append\"\n", request("POST", rows)),
            Self::Job => ("on_unknown = \"resend\"\n", "mode = \"append\"\n", request("POST", jobs)),
            Self::Mirror => ("", "mode = \"upsert\"\nremoved = \"delete\"\n", request("PUT", rows) + &remove),
            Self::File => (
                "",
                "object = \"customers\"\nmode = \"upsert\"\nremoved = \"delete\"\nformat = \"jsonl\"\nset = \"changes\"\n",
                String::new(),
            ),
        };
        let destination = if self == Self::File { "exchange" } else { "api" };
        let fields = "same_name = [\"id\", \"email\", \"name\", \"plan\"]\n";
        format!("model = \"customers\"\ndestination = \"{destination}\"\n{top}\n[into]\n{into}{fields}{calls}")
    }
}

/// In place of the evidence `row`: the rows' results come with the end of a job.
const JOB: &str = "evidence = \"job\", job = { id = \"job\", url = \"/jobs/{{ job }}\", every = \"100ms\", \
                   done = { field = \"status\", value = \"completed\" } }";

/// `backhaul run` of the matrix's sync.
pub(super) const RUN: [&str; 2] = ["run", SYNC];
