//! The commands at work: everything that [`Engine`] asks of the rest of the program.

mod approve;
mod check;
mod ended;
mod plan;
mod run;
mod serve;
mod state;
mod watch;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::Kit;
use backhaul_kit::config::{Problem, Secrets};

use super::demo::{self, DemoArgs};
use super::{
    ApproveArgs, Check, DiscardArgs, Engine, Exit, Failure, PlanArgs, ReplanArgs, RunArgs, SchemaFile, Screen,
    ShowPlanArgs, StateAction, StateArgs,
};
use crate::config::{self, Project, SyncDef};
use crate::run::{Examined, RunError, Runs, doctor, egress, state_key};
use crate::snapshot::StateKey;
use crate::state::Sealer;

/// The real program.
#[derive(Clone, Copy, Debug)]
pub struct Work;

#[async_trait]
impl Engine for Work {
    fn load(&self, root: &Path) -> Result<Project, Vec<Problem>> {
        config::load(root)
    }

    fn render(&self, problems: &[Problem], color: bool) -> String {
        config::render(problems, color)
    }

    fn problems_json(&self, problems: &[Problem]) -> serde_json::Value {
        config::problems_json(problems)
    }

    fn schema(&self, file: SchemaFile) -> serde_json::Value {
        match file {
            SchemaFile::Backhaul => config::schema::backhaul_toml(),
            SchemaFile::Model => config::schema::model_toml(),
            SchemaFile::Sync => config::schema::sync_toml(),
        }
    }

    fn create_key(&self, path: &Path) -> Result<(), Failure> {
        StateKey::create_file(path).map(drop).map_err(|e| failure(self, &RunError::from(e)))
    }

    fn sealer(&self, project: &Project) -> Result<Arc<dyn Sealer>, Failure> {
        let secrets = Secrets::from_env(&project.root);
        let key = state_key(&project.state, &secrets).map_err(|e| failure(self, &e))?;
        Ok(Arc::new(key))
    }

    async fn check(&self, project: &Project) -> Vec<Check> {
        check::check(project).await
    }

    async fn doctor(&self, project: &Project, syncs: &[Arc<SyncDef>]) -> Vec<Examined> {
        doctor(project, syncs, &Kit::new(Secrets::from_env(&project.root))).await
    }

    fn egress(&self, project: &Project, syncs: &[Arc<SyncDef>]) -> Result<Vec<(String, String)>, Failure> {
        let kit = Kit::new(Secrets::from_env(&project.root));
        egress(project, syncs, &kit).map_err(|fault| failure(self, &RunError::from(fault)))
    }

    async fn plan(
        &self,
        screen: &Screen,
        project: Project,
        syncs: Vec<Arc<SyncDef>>,
        args: PlanArgs,
    ) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        plan::plan(self, screen, &runs, &syncs, &args).await
    }

    async fn run(
        &self,
        screen: &Screen,
        project: Project,
        syncs: Vec<Arc<SyncDef>>,
        args: RunArgs,
    ) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        run::run(self, screen, &runs, &syncs, &args).await
    }

    async fn approve(&self, screen: &Screen, project: Project, args: ApproveArgs) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        approve::approve(self, screen, &runs, &args).await
    }

    async fn discard(&self, screen: &Screen, project: Project, args: DiscardArgs) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        approve::discard(self, screen, &runs, &args).await
    }

    async fn show_plan(&self, screen: &Screen, project: Project, args: ShowPlanArgs) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        plan::show(self, screen, &runs, &args).await
    }

    async fn replan(&self, screen: &Screen, project: Project, args: ReplanArgs) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        approve::replan(self, screen, &runs, &args).await
    }

    async fn state(&self, screen: &Screen, project: Project, args: StateArgs) -> Result<Exit, Failure> {
        match args.action {
            StateAction::Verify { syncs } => state::verify(self, screen, &project, &syncs),
            StateAction::Rebuild { sync, yes } => {
                let runs = self.open(project).await?;
                state::rebuild(self, screen, &runs, &sync, yes).await
            }
        }
    }

    async fn serve(&self, screen: &Screen, project: Project) -> Result<Exit, Failure> {
        let runs = self.open(project).await?;
        serve::serve(screen, runs).await
    }

    async fn demo(&self, screen: &Screen, args: DemoArgs) -> Result<Exit, Failure> {
        demo::demo(screen, args).await.map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        Ok(Exit::Ok)
    }
}

impl Work {
    async fn open(&self, project: Project) -> Result<Runs, Failure> {
        Runs::open(Arc::new(project)).await.map_err(|e| failure(self, &e))
    }
}

/// What a command fails with; problems with a place are shown with it.
fn failure(engine: &dyn Engine, error: &RunError) -> Failure {
    let exit = Exit::from_code(error.exit_code());
    match error {
        RunError::Problems(problems) => Failure::new(exit, engine.render(problems, false).trim_end().to_owned()),
        other => Failure::new(exit, other.to_string()).remedy(other.remedy()),
    }
}
