//! Access tokens by signed assertion, judged by the stand-in.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use backhaul_kit::FaultClass;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::*;

/// A key of the app, and what the stand-in verifies by; both PEM.
fn keys() -> (String, String) {
    let pem = |name: &str, der: &[u8]| {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n")
    };
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = pair.as_der().expect("a document");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a document");
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

fn account(url: &str, more: &str) -> String {
    let credential = "private_key = { file = \"key\" }\nusername = \"sync@sandbox.example\"";
    text(url, UPSERT).replace("client_secret = { file = \"key\" }", &format!("{credential}\n{more}"))
}

#[tokio::test]
async fn an_assertion_of_the_right_key_user_and_audience_gets_a_token_and_no_other_does() {
    let ((private, public), (other, _)) = (keys(), keys());
    let sandbox = stand_in(&[("public_key", &public), ("audience", "https://test.salesforce.com")]).await;
    let audience = "audience = \"https://test.salesforce.com\"";
    let rows = new(Operation::Upsert, &[&["c1", "Ada", "free"]]);
    let right = open_text(&account(&sandbox.url(), audience), FIELDS, &private);
    assert_eq!(right.verdicts(&rows).await, [written(0)]);
    set(&*sandbox, "expire_tokens", "");
    assert_eq!(right.verdicts(&rows).await, [written(0)], "a new token is asked for");
    assert_eq!(right.destination.check().await.expect("a report").missing, [""; 0]);
    let url = sandbox.url();
    let another_user = account(&url, audience).replace("sync@sandbox", "root@sandbox");
    for (text, key) in [(account(&url, audience), &other), (account(&url, ""), &private), (another_user, &private)] {
        let fault = open_text(&text, FIELDS, key).write(&rows).await.expect_err("no token");
        assert_eq!(fault.class, FaultClass::Auth, "{fault}");
        assert!(!fault.message.contains(key.as_str()));
    }
}
