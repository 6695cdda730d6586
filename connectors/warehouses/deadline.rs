//! The wall clock of a scan.

use backhaul_kit::Fault;
use tokio::time::{Instant, timeout_at};

/// The outcome of a step of the scan of `model`, unless its time runs out first.
///
/// # Errors
/// `Transient` at the deadline.
pub(super) async fn within<T>(
    deadline: Option<Instant>,
    step: impl Future<Output = T>,
    model: &str,
) -> Result<T, Fault> {
    match deadline {
        None => Ok(step.await),
        Some(deadline) => timeout_at(deadline, step).await.map_err(|_| {
            Fault::transient(format!("the scan of model `{model}` took longer than its `timeout`"))
                .remedy("raise the model's `timeout`, or make its query cheaper")
        }),
    }
}
