//! Coming to rest when the operator asks for it.

use super::RunError;

/// Becomes true when a run shall come to rest: what is in flight is finished and logged.
pub type Cancel = tokio::sync::watch::Receiver<bool>;

/// Does work that nothing depends on until it is complete; it is dropped when the run shall come to rest.
pub(super) async fn unless_cancelled<T, E>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, RunError>
where
    RunError: From<E>,
{
    let mut cancel = cancel.clone();
    let raised = async move {
        // Nobody can cancel any more when the sender is gone.
        if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = raised => Err(RunError::Cancelled),
        done = work => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use backhaul_kit::Fault;
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_it_is_done_or_when_the_flag_is_raised() {
        let (raise, cancel) = watch::channel(false);
        let done = unless_cancelled(&cancel, async { Ok::<_, Fault>(1) }).await;
        assert!(matches!(done, Ok(1)), "{done:?}");
        raise.send_replace(true);
        let dropped = unless_cancelled(&cancel, std::future::pending::<Result<(), Fault>>()).await;
        assert!(matches!(dropped, Err(RunError::Cancelled)), "{dropped:?}");
    }

    #[tokio::test]
    async fn a_flag_that_nobody_can_raise_any_more_cancels_nothing() {
        let (raise, cancel) = watch::channel(false);
        drop(raise);
        let done = unless_cancelled(&cancel, async {
            tokio::task::yield_now().await;
            Ok::<_, Fault>(1)
        });
        assert!(matches!(done.await, Ok(1)));
    }
}
