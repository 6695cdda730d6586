//! Connections as an operator's network makes them: through a proxy, to a server of a private authority.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Method, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::limit::Limiter;
use super::{Auth, Http, HttpKeys, Request};
use crate::config::{ConfigTable, Problems, Secrets, SourceFile, parse};
use crate::context::Kit;
use crate::contract::{Reply, Scripted, Server};
use crate::{Fault, FaultClass};

fn table(text: &str) -> ConfigTable {
    parse(&Arc::new(SourceFile { path: "backhaul.toml".into(), text: text.into() }), &Problems::default())
}

/// A client with these keys, in a project at `folder`.
fn client(keys: &str, folder: &Path) -> Result<Http, Fault> {
    let mut table = table(keys);
    let keys = HttpKeys::read(&mut table);
    assert_eq!(table.problems().errors(), 0);
    let kit = Kit::new(Secrets::from_env(folder));
    Http::new(&keys.options(&kit), Auth::None, Arc::new(Limiter::new(&[])))
}

fn get(url: &str) -> Request {
    Request::new(Method::GET, Url::parse(url).expect("a URL"))
}

#[tokio::test]
async fn calls_go_through_the_proxy_with_its_login() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("password"), "p\n").expect("written");
    let proxy = Server::start(|_| Reply::Answer(Scripted::empty(204))).await;
    let keys =
        format!("proxy = {{ url = \"{}\", user = \"me\", password = {{ file = \"password\" }} }}\n", proxy.url());
    let http = client(&keys, folder.path()).expect("a client");
    http.send(get("http://api.example.com/rows")).await.expect("the proxy's answer");
    let seen = &proxy.received()[0];
    assert_eq!(seen.target, "http://api.example.com/rows");
    // me:p
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6cA=="));
    // What is never called is not called through a proxy either.
    let fault = http.send(get("http://169.254.169.254/latest")).await.expect_err("refused");
    assert_eq!((fault.class, proxy.received().len()), (FaultClass::Config, 1));
}

#[test]
fn behind_a_proxy_only_it_is_connected_to() {
    let called = || vec![String::from("api.example.com:443")];
    let mut through = table("proxy = { url = \"http://proxy.example.com:3128\" }\n");
    assert_eq!(HttpKeys::read(&mut through).hosts(called()), ["proxy.example.com:3128"]);
    assert_eq!(HttpKeys::default().hosts(called()), called());
}

#[test]
fn a_proxy_that_is_none_is_told() {
    for wrong in [
        "proxy = { url = \"proxy.example.com:3128\" }\n",
        "proxy = { url = \"socks5://proxy.example.com\" }\n",
        "proxy = { url = \"http://me:pw@proxy.example.com\" }\n",
        "proxy = { url = \"http://proxy.example.com\", user = \"me\" }\n",
        "proxy = { user = \"me\" }\n",
    ] {
        let mut table = table(wrong);
        HttpKeys::read(&mut table);
        assert!(table.problems().errors() > 0, "{wrong}");
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("ca.pem"), cert.pem()).expect("written");
    std::fs::write(folder.path().join("empty.pem"), "nothing\n").expect("written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                // A client that is gone has nothing to read.
                let _ = stream.write_all(b"HTTP/1.1 204 Trusted\r\nconnection: close\r\n\r\n").await;
            }
        }
    });
    let stranger = client("", folder.path()).expect("a client").send(get(&url)).await.expect_err("not trusted");
    assert_eq!(stranger.class, FaultClass::Transient, "{stranger:?}");
    let trusting = client("ca_bundle = \"ca.pem\"\n", folder.path()).expect("a client");
    assert_eq!(trusting.send(get(&url)).await.expect("an answer").status, 204);
    for wrong in ["ca_bundle = \"empty.pem\"\n", "ca_bundle = \"none.pem\"\n"] {
        assert!(client(wrong, folder.path()).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_body_that_stops_on_its_way_is_given_up_and_says_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (_keep, mut kept) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.expect("a request") > 0);
        stream.write_all(b"HTTP/1.1 200 Slow\r\ncontent-length: 10\r\n\r\n{\"ok\"").await.expect("sent");
        // The connection stays open until the test has ended.
        let _ = (&mut kept).await;
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let http = client("timeout = \"500ms\"\n", folder.path()).expect("a client");
    let fault = http.send(get(&url)).await.expect_err("half an answer");
    assert_eq!(fault.class, FaultClass::Ambiguous, "{fault}");
}
