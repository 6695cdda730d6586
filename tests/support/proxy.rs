//! A TCP relay in front of a server: what the network between the two does is a switch.
//!
//! Everything passes until [`Proxy::strike`] says otherwise. A fault has a point, looked for in what goes towards
//! the client, and a harm, done once the point is reached: what came before it has reached the client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Where a fault strikes a connection.
#[derive(Clone, Debug)]
pub(crate) enum Point {
    /// As soon as it is made: nothing of it reaches the server.
    Connect,
    /// After so many bytes towards the client, counted from the order to strike or from its beginning, whichever
    /// is later. With 0, once the server has an answer: none of it arrives.
    Bytes(usize),
    /// Right after these bytes went to the client.
    After(Vec<u8>),
}

/// What becomes of a connection that is struck.
#[derive(Clone, Debug)]
pub(crate) enum Harm {
    /// It is reset (RST).
    Reset,
    /// It is closed as by the server, in good order.
    Close,
    /// Nothing goes either way any more, and both sides stay open.
    HalfOpen,
    /// What the server sends from then on comes so much later.
    Delay(Duration),
    /// These bytes are put in, as if the server had sent them; then it goes on.
    Insert(Vec<u8>),
}

/// A running relay; dropping it cuts its connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    switch: Arc<Switch>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Switch(Mutex<Orders>);

#[derive(Default)]
struct Orders {
    fault: Option<(Point, Harm)>,
    /// How many connections it still strikes.
    times: u64,
    /// Counts the orders: a connection begins to look for the point anew with each.
    order: u64,
    struck: u64,
}

impl Proxy {
    /// A relay to the server at `host:port`, on a free loopback port.
    pub(crate) fn before(server: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let switch = Arc::new(Switch::default());
        runtime.spawn(accept(listener, server.to_owned(), Arc::clone(&switch)));
        Self { address, switch, runtime: Some(runtime) }
    }

    /// A relay to the server of a URL, and the URL that leads through it.
    pub(crate) fn of_url(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (user, server) = authority.rsplit_once('@').map_or(("", authority), |(user, server)| (user, server));
        let proxy = Self::before(server);
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{user}{at}{}{path}", proxy.address);
        (proxy, url)
    }

    /// Strikes the next `times` connections that reach the point; those that are open are meant too.
    pub(crate) fn strike(&self, point: Point, harm: Harm, times: u64) {
        let mut orders = self.switch.orders();
        orders.fault = Some((point, harm));
        orders.times = times;
        orders.order += 1;
    }

    /// Everything passes again, but for connections that were struck.
    pub(crate) fn pass(&self) {
        self.strike(Point::Connect, Harm::Reset, 0);
    }

    /// How many connections have been struck.
    pub(crate) fn struck(&self) -> u64 {
        self.switch.orders().struck
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Switch {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().expect("the switch")
    }

    /// The harm for a connection that reaches the point of this order, unless others have used it up.
    fn take(&self, order: u64) -> Option<Harm> {
        let mut orders = self.orders();
        if orders.order != order || orders.times == 0 {
            return None;
        }
        orders.times -= 1;
        orders.struck += 1;
        orders.fault.as_ref().map(|(_, harm)| harm.clone())
    }

    fn at_connect(&self) -> Option<Harm> {
        let orders = self.orders();
        let (due, order) = (matches!(orders.fault, Some((Point::Connect, _))), orders.order);
        drop(orders);
        if due { self.take(order) } else { None }
    }
}

async fn accept(listener: TcpListener, server: String, switch: Arc<Switch>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, switch) = (server.clone(), Arc::clone(&switch));
        tokio::spawn(async move {
            let mut line = Line { switch: &switch, looking: Looking::default(), delay: Duration::ZERO };
            let harm = switch.at_connect();
            if let Some(harm @ (Harm::Reset | Harm::Close | Harm::HalfOpen)) = harm {
                return end(client, None, &harm).await;
            }
            if let Some(Harm::Delay(delay)) = harm {
                line.delay = delay;
            }
            let Ok(server) = TcpStream::connect(&server).await else { return };
            line.relay(client, server).await;
        });
    }
}

/// What a connection knows of the order that it looks for the point of.
#[derive(Default)]
struct Looking {
    order: u64,
    bytes: usize,
    /// The last bytes towards the client, as many as the point's less one.
    tail: Vec<u8>,
}

struct Line<'a> {
    switch: &'a Switch,
    looking: Looking,
    delay: Duration,
}

impl Line<'_> {
    async fn relay(&mut self, mut client: TcpStream, mut server: TcpStream) {
        let harm = {
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                // A side that is gone shows in the other direction too.
                drop(tokio::io::copy(&mut from_client, &mut to_server).await);
                drop(to_server.shutdown().await);
                std::future::pending::<()>().await;
            };
            let down = async {
                let mut buffer = vec![0; 16 << 10];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    tokio::time::sleep(self.delay).await;
                    let mut rest = &buffer[..read];
                    while let Some((at, harm)) = self.strikes(rest) {
                        to_client.write_all(&rest[..at]).await.ok()?;
                        rest = &rest[at..];
                        match harm {
                            Harm::Delay(delay) => self.delay = delay,
                            Harm::Insert(bytes) => to_client.write_all(&bytes).await.ok()?,
                            harm => return Some(harm),
                        }
                    }
                    to_client.write_all(rest).await.ok()?;
                }
                None
            };
            tokio::select! { harm = down => harm, () = up => None }
        };
        end(client, Some(server), &harm.unwrap_or(Harm::Close)).await;
    }

    /// Looks for the point in what comes next; where it is, and the harm that is due there.
    fn strikes(&mut self, next: &[u8]) -> Option<(usize, Harm)> {
        let (point, order) = {
            let orders = self.switch.orders();
            (orders.fault.as_ref().map(|(point, _)| point.clone())?, orders.order)
        };
        if self.looking.order != order {
            self.looking = Looking { order, ..Looking::default() };
        }
        let looking = &mut self.looking;
        let found = match point {
            Point::Connect => None,
            Point::Bytes(bytes) => {
                let due = (looking.bytes..=looking.bytes + next.len()).contains(&bytes);
                let at = bytes.wrapping_sub(looking.bytes);
                looking.bytes += if due { at + 1 } else { next.len() };
                due.then_some(at)
            }
            Point::After(wanted) => {
                let kept = looking.tail.len();
                let mut all = std::mem::take(&mut looking.tail);
                all.extend_from_slice(next);
                let found = all.windows(wanted.len()).position(|window| window == wanted);
                if found.is_none() {
                    looking.tail = all.split_off(all.len().saturating_sub(wanted.len() - 1));
                }
                found.map(|at| at + wanted.len() - kept)
            }
        };
        Some((found?, self.switch.take(order)?))
    }
}

async fn end(client: TcpStream, server: Option<TcpStream>, harm: &Harm) {
    match harm {
        Harm::Reset => {
            for side in [Some(&client), server.as_ref()].into_iter().flatten() {
                side.set_zero_linger().expect("a socket option");
            }
        }
        Harm::HalfOpen => std::future::pending().await,
        Harm::Close | Harm::Delay(_) | Harm::Insert(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that says "hello, " and what it was sent, in one piece, to each connection.
    fn greeter() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut name = [0; 16];
                    while let Ok(read @ 1..) = stream.read(&mut name) {
                        let greeting = [b"hello, ", &name[..read]].concat();
                        if stream.write_all(&greeting).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    /// What arrives, and how it ends. All is waited for where it must end; else what more comes is not waited for.
    fn greet(proxy: &Proxy, expected: Option<usize>) -> (String, End) {
        let mut stream = TcpStream::connect(proxy.address).expect("the proxy");
        let (mut said, mut buffer) = (Vec::new(), [0; 64]);
        let mut sent = stream.write_all(b"world");
        let end = loop {
            let whole = expected.is_some_and(|bytes| said.len() >= bytes);
            let patience = Duration::from_millis(if whole { 50 } else { 60_000 });
            stream.set_read_timeout(Some(patience)).expect("a timeout");
            match std::mem::replace(&mut sent, Ok(())).and_then(|()| stream.read(&mut buffer)) {
                Ok(0) => break End::Closed,
                Ok(read) => said.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock && whole => break End::Open,
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::WouldBlock, "nothing came for a minute");
                    break End::Reset;
                }
            }
        };
        (String::from_utf8(said).expect("text"), end)
    }

    #[derive(Debug, PartialEq, Eq)]
    enum End {
        Open,
        Closed,
        Reset,
    }

    #[test]
    fn a_fault_strikes_at_its_point_and_as_often_as_told() {
        let proxy = Proxy::before(&greeter());
        let all = (String::from("hello, world"), End::Open);
        let strike = |point, harm| proxy.strike(point, harm, 1);
        let after = |text: &str| Point::After(text.as_bytes().to_vec());
        assert_eq!(greet(&proxy, Some(12)), all);

        strike(Point::Bytes(0), Harm::Reset);
        assert_eq!(greet(&proxy, None), (String::new(), End::Reset));
        assert_eq!(greet(&proxy, Some(12)), all);
        strike(Point::Bytes(4), Harm::Close);
        assert_eq!(greet(&proxy, None), ("hell".to_owned(), End::Closed));
        strike(after("o, w"), Harm::HalfOpen);
        assert_eq!(greet(&proxy, Some(8)), ("hello, w".to_owned(), End::Open));
        strike(after(", "), Harm::Insert(b"my ".to_vec()));
        assert_eq!(greet(&proxy, Some(15)), ("hello, my world".to_owned(), End::Open));
        strike(Point::Connect, Harm::Delay(Duration::from_millis(1)));
        assert_eq!(greet(&proxy, Some(12)), all);
        strike(Point::Connect, Harm::Reset);
        assert_eq!(greet(&proxy, None), (String::new(), End::Reset));
        assert_eq!(proxy.struck(), 6);

        proxy.strike(Point::Bytes(0), Harm::Reset, 9);
        proxy.pass();
        assert_eq!(greet(&proxy, Some(12)), all);
    }
}
