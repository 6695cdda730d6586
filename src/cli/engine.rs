//! What the commands ask of the rest of the program. One value implements it all; tests bring their own.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::Fault;
use backhaul_kit::config::Problem;

use super::{
    ApproveArgs, DemoArgs, DiscardArgs, Exit, Failure, PlanArgs, ReplanArgs, RunArgs, Screen, ShowPlanArgs, StateArgs,
};
use crate::config::{Project, SyncDef};
use crate::run::Examined;
use crate::state::Sealer;

/// A file of a project that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaFile {
    /// backhaul.toml
    Backhaul,
    /// models/*.toml
    Model,
    /// syncs/*.toml
    Sync,
}

/// What asking one warehouse or destination came to.
#[derive(Debug)]
pub struct Check {
    /// What was asked: `warehouse analytics`, `sync vip-crm`.
    pub subject: String,
    /// What was found, in a few words: server and user, account and object.
    pub detail: String,
    /// What is wrong with the files in the light of it: a column that the model lacks, say.
    pub problems: Vec<Problem>,
    /// Why asking failed.
    pub fault: Option<Fault>,
}

/// The rest of the program.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Reads and checks the project in the folder `root`, without I/O beyond its files.
    ///
    /// # Errors
    /// Every problem.
    fn load(&self, root: &Path) -> Result<Project, Vec<Problem>>;

    /// Problems for people: with file, line and marker.
    fn render(&self, problems: &[Problem], color: bool) -> String;

    /// Problems for programs: an array.
    fn problems_json(&self, problems: &[Problem]) -> serde_json::Value;

    /// JSON Schema of a file.
    fn schema(&self, file: SchemaFile) -> serde_json::Value;

    /// Makes a key file for the state; never overwrites one.
    ///
    /// # Errors
    /// The file is there already or cannot be written.
    fn create_key(&self, path: &Path) -> Result<(), Failure>;

    /// What seals the project's state.
    ///
    /// # Errors
    /// The key cannot be read.
    fn sealer(&self, project: &Project) -> Result<Arc<dyn Sealer>, Failure>;

    /// Asks every warehouse and destination of the project; writes nothing.
    async fn check(&self, project: &Project) -> Vec<Check>;

    /// Holds the credentials of these syncs against what they need; writes nothing.
    async fn doctor(&self, project: &Project, syncs: &[Arc<SyncDef>]) -> Vec<Examined>;

    /// The hosts that these syncs connect to, each with who needs it.
    ///
    /// # Errors
    /// A secret that cannot be read.
    fn egress(&self, project: &Project, syncs: &[Arc<SyncDef>]) -> Result<Vec<(String, String)>, Failure>;

    /// `plan`.
    async fn plan(
        &self,
        screen: &Screen,
        project: Project,
        syncs: Vec<Arc<SyncDef>>,
        args: PlanArgs,
    ) -> Result<Exit, Failure>;

    /// `plan show`.
    async fn show_plan(&self, screen: &Screen, project: Project, args: ShowPlanArgs) -> Result<Exit, Failure>;

    /// `run`.
    async fn run(
        &self,
        screen: &Screen,
        project: Project,
        syncs: Vec<Arc<SyncDef>>,
        args: RunArgs,
    ) -> Result<Exit, Failure>;

    /// `approve`.
    async fn approve(&self, screen: &Screen, project: Project, args: ApproveArgs) -> Result<Exit, Failure>;

    /// `discard`.
    async fn discard(&self, screen: &Screen, project: Project, args: DiscardArgs) -> Result<Exit, Failure>;

    /// `replan`.
    async fn replan(&self, screen: &Screen, project: Project, args: ReplanArgs) -> Result<Exit, Failure>;

    /// `state`.
    async fn state(&self, screen: &Screen, project: Project, args: StateArgs) -> Result<Exit, Failure>;

    /// `serve`.
    async fn serve(&self, screen: &Screen, project: Project) -> Result<Exit, Failure>;

    /// `demo`.
    async fn demo(&self, screen: &Screen, args: DemoArgs) -> Result<Exit, Failure>;
}
