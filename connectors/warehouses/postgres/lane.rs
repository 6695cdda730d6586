//! A running COPY, and a lane: the part of a scan that has a connection of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use backhaul_kit::Fault;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::wrap::Wrapped;
use super::copy::{CopyReader, Tuples};
use super::fault::{of_call, of_statement};
use super::layout::Layout;
use super::page::TuplePage;
use super::session::goodbye;
use super::watch::Watch;

/// A running COPY.
pub(super) struct CopyOut<'c> {
    stream: BoxStream<'c, Result<Bytes, sqlx::Error>>,
    ended: bool,
    reader: CopyReader,
    watch: &'c Watch,
    /// Whose SQL errors are about; `None` for a statement of our own.
    model: Option<&'c Wrapped>,
}

impl<'c> CopyOut<'c> {
    /// Starts to copy the rows of `statement`, which was prepared.
    pub(super) async fn start(
        conn: &'c mut PgConnection,
        watch: &'c Watch,
        model: Option<&'c Wrapped>,
        statement: &str,
        layout: Arc<Layout>,
    ) -> Result<Self, Fault> {
        let copy = format!("COPY (\n{statement}\n) TO STDOUT (FORMAT binary)");
        let stream = watch.over(conn.copy_out_raw(&copy)).await?;
        let stream = stream.map_err(|e| fault(e, watch, model, &copy))?;
        Ok(Self { stream, ended: false, reader: CopyReader::new(layout), watch, model })
    }

    /// The next rows; `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Tuples>, Fault> {
        while !self.ended && !self.reader.is_full() {
            let watch = self.watch;
            self.ended = watch.over(self.arrival()).await??;
        }
        Ok(self.reader.take())
    }

    /// Waits until something has come, and takes all of it that fits into a page; `true` at the stream's end.
    ///
    /// A row is a message: clocks are set and tasks woken for what one look at the socket brings, not for each.
    async fn arrival(&mut self) -> Result<bool, Fault> {
        let Self { stream, reader, watch, model, .. } = self;
        let mut came = false;
        poll_fn(|cx| {
            while !reader.is_full() {
                match stream.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => reader.push(&bytes)?,
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(fault(error, watch, *model, "")));
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok(true)),
                    Poll::Pending if came => break,
                    Poll::Pending => return Poll::Pending,
                }
                came = true;
            }
            Poll::Ready(Ok(false))
        })
        .await
    }

    /// How many rows there were, if the scan was complete.
    pub(super) fn rows(&self) -> Result<u64, Fault> {
        self.reader.finish()
    }
}

fn fault(error: sqlx::Error, watch: &Watch, model: Option<&Wrapped>, statement: &str) -> Fault {
    match model {
        Some(model) => of_statement(error, watch.place(), model, statement),
        None => of_call(error, watch.place()),
    }
}

/// A part of a scan: a prepared statement in a snapshot of the data, on a connection of its own.
pub(super) struct Lane {
    /// Which of the scan's lanes it is, from 0.
    pub(super) number: usize,
    /// In the transaction that holds the snapshot.
    pub(super) conn: PgConnection,
    /// Looks after this connection's backend.
    pub(super) watch: Watch,
    /// The model, for messages.
    pub(super) model: Arc<Wrapped>,
    /// What was prepared.
    pub(super) statement: String,
}

impl Lane {
    /// Hands over all rows, and says how many there were when they were all.
    ///
    /// The connection lives in this future: whoever drops it closes the connection.
    pub(super) async fn run(mut self, layout: Arc<Layout>, pages: mpsc::Sender<TuplePage>) -> Result<u64, Fault> {
        let Self { number, conn, watch, model, statement } = &mut self;
        let mut copy = CopyOut::start(conn, watch, Some(&**model), statement, layout.clone()).await?;
        while let Some(tuples) = copy.next().await? {
            let page = TuplePage::new(tuples, layout.clone(), *number);
            pages.send(page).await.map_err(|_| Fault::bug("a lane of a scan runs on after the scan's end"))?;
        }
        let rows = copy.rows()?;
        drop(copy);
        goodbye(self.conn).await;
        Ok(rows)
    }
}

/// The lanes of a scan at work, each in a task of its own: a task sleeps where its socket is waited for, without a
/// hand-over at every arrival. Dropping this ends them.
pub(super) struct Lanes {
    running: JoinSet<Result<u64, Fault>>,
    pages: mpsc::Receiver<TuplePage>,
    rows: u64,
}

impl Lanes {
    /// Starts the lanes.
    pub(super) fn start(lanes: Vec<Lane>, layout: &Arc<Layout>) -> Self {
        let (sender, pages) = mpsc::channel(lanes.len().max(1));
        let mut running = JoinSet::new();
        for lane in lanes {
            running.spawn(lane.run(layout.clone(), sender.clone()));
        }
        Self { running, pages, rows: 0 }
    }

    /// The next page of any lane; `None` when all have come to their ends.
    ///
    /// # Errors
    /// The fault of the first lane that failed; the others are ended when this is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<TuplePage>, Fault> {
        loop {
            tokio::select! {
                Some(page) = self.pages.recv() => return Ok(Some(page)),
                Some(ended) = self.running.join_next() => {
                    self.rows += ended.map_err(|e| Fault::bug("a lane of the scan broke").caused_by(e))??;
                }
                else => return Ok(None),
            }
        }
    }

    /// How many rows the lanes handed over, when all have ended.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }
}
