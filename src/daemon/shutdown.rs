//! Who asked to stop, for everything that should end in order.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: a service manager.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

/// Tells whether a stop was asked for. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Option<Stop>>);

impl Shutdown {
    /// A shutdown that is asked for by sending on the returned handle.
    pub fn new() -> (watch::Sender<Option<Stop>>, Self) {
        let (ask, asked) = watch::channel(None);
        (ask, Self(asked))
    }

    /// Asked for by SIGTERM or SIGINT. A second signal ends the process at once, with exit code 130 or 143.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn on_signals() -> io::Result<Self> {
        let (ask, shutdown) = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            loop {
                let (stop, code) = tokio::select! {
                    _ = terminate.recv() => (Stop::Terminate, 143),
                    _ = interrupt.recv() => (Stop::Interrupt, 130),
                };
                if ask.borrow().is_some() {
                    std::process::exit(code);
                }
                // Where nobody listens any more, the program is at its end anyway.
                ask.send_replace(Some(stop));
            }
        });
        Ok(shutdown)
    }

    /// Who asked, if anybody did.
    pub fn asked(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Returns once somebody asked.
    pub async fn wait(&mut self) -> Stop {
        loop {
            if let Some(stop) = self.asked() {
                return stop;
            }
            if self.0.changed().await.is_err() {
                // Nobody is left who could ask.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_hears_of_a_stop() {
        let (ask, mut shutdown) = Shutdown::new();
        let mut other = shutdown.clone();
        assert_eq!(shutdown.asked(), None);
        ask.send_replace(Some(Stop::Interrupt));
        assert_eq!(shutdown.wait().await, Stop::Interrupt);
        assert_eq!(other.wait().await, Stop::Interrupt);
    }

    #[tokio::test]
    async fn a_signal_asks_for_a_stop() {
        let mut shutdown = Shutdown::on_signals().expect("handlers");
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::TERM).expect("sent");
        assert_eq!(shutdown.wait().await, Stop::Terminate);
    }
}
