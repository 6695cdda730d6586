//! What a check tells of the credential, and what fields there are, against the stand-in.

use backhaul_kit::contract::{Reply, Scripted, Server};
use backhaul_kit::{AccountReport, FaultClass, TypeClass};
use serde_json::json;

use super::*;

async fn report(settings: &[(&str, &str)]) -> AccountReport {
    let sandbox = stand_in(settings).await;
    let report = users(&*sandbox, "").destination.check().await.expect("a report");
    assert_eq!(sandbox.records(), json!({}), "a check writes nothing");
    report
}

#[tokio::test]
async fn scopes_that_are_missing_or_too_wide_are_told_with_the_smallest_grant() {
    for (scopes, missing, excess) in [
        ("read,users:write", &[][..], &[][..]),
        ("read,users:read,users:write", &[], &[]),
        ("read,users", &[], &["users"]),
        ("read,write", &[], &["write"]),
        ("read,users:write,organizations:write,impersonate", &[], &["organizations:write", "impersonate"]),
        ("read", &["users:write"], &[]),
        ("read,organizations:write", &["users:write"], &["organizations:write"]),
    ] {
        let report = report(&[("scopes", scopes)]).await;
        assert_eq!((&report.missing[..], &report.excess[..]), (&own(missing)[..], &own(excess)[..]), "{scopes}");
        assert_eq!(report.grants, ["read", "users:write"]);
        assert_eq!(report.identity, "zendesk:acme:stand-in");
    }
    let user = report(&[("role", "end-user")]).await;
    assert!(user.missing[0].contains("agent"), "{:?}", user.missing);
    assert_eq!(report(&[("role", "agent")]).await.label, "Zendesk acme, as agent 1");
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn an_api_token_has_no_scopes_and_says_whose_it_is() {
    let sandbox = stand_in(&[]).await;
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("token"), TOKEN).expect("a token");
    let text = text(&sandbox.url(), USERS).replace("token = ", "email = \"ops@example.com\"\napi_token = ");
    let kit = Kit::new(Secrets::from_env(project.path()));
    let destination = fixture::prepared(&ZENDESK, &text, &["id"], USER).open(kit).expect("an open destination");
    let report = destination.check().await.expect("a report");
    assert_eq!((report.missing.len(), report.excess.len()), (0, 0));
    assert!(report.unknowable[0].contains("admin") && report.unknowable[0].contains("2027"), "{:?}", report.unknowable);
}

#[tokio::test]
async fn a_wrong_token_and_an_anonymous_user_are_refused() {
    let sandbox = stand_in(&[("token", "another")]).await;
    let fault = users(&*sandbox, "").destination.check().await.expect_err("401");
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(!fault.message.contains(TOKEN));
    let anonymous = json!({ "user": { "id": null, "name": "Anonymous user", "role": "end-user" } });
    let server = Server::start(move |_| Reply::Answer(Scripted::json(200, &anonymous))).await;
    let fault = open(server.url(), USERS, USER).destination.check().await.expect_err("nobody");
    assert_eq!(fault.class, FaultClass::Auth);
}

#[tokio::test]
async fn custom_fields_are_read_page_by_page() {
    let sandbox = stand_in(&[("fields", "plan,tier,since")]).await;
    let schema = users(&*sandbox, "").destination.describe().await.expect("an answer").expect("fields");
    let field = |name: &str| schema.fields.iter().find(|field| field.name == name).expect("a field");
    assert!(field("user_fields.since").writable && field("external_id").unique && !field("name").unique);
    assert!(schema.fields.iter().all(|field| field.name != "role"));
    assert_eq!(sandbox.calls(), 3);
    let organizations = open(&sandbox.url(), ORGANIZATIONS, ORGANIZATION).destination.describe().await;
    let organizations = organizations.expect("an answer").expect("fields");
    assert!(organizations.fields.iter().any(|field| field.name == "organization_fields.tier"));
    assert_eq!(open(&sandbox.url(), TICKETS, TICKET).destination.describe().await.expect("an answer"), None);
    let page = json!({ "user_fields": [
        { "key": "size", "type": "dropdown", "active": false, "custom_field_options": [{ "name": "S", "value": "s" }] },
        { "key": "vip", "type": "checkbox", "active": true },
        { "key": "since", "type": "date", "active": true },
        { "key": "seats", "type": "integer", "active": true },
        { "key": "score", "type": "decimal", "active": true },
    ], "meta": { "has_more": false } });
    let server = Server::start(move |_| Reply::Answer(Scripted::json(200, &page))).await;
    let schema = open(server.url(), USERS, USER).destination.describe().await.expect("an answer").expect("fields");
    let size = schema.fields.iter().find(|field| field.name == "user_fields.size").expect("a field");
    assert_eq!(
        (size.native.as_str(), size.choices.as_slice(), size.writable),
        ("dropdown", &["s".to_owned()][..], false)
    );
    use TypeClass as T;
    for (name, taken, refused) in [
        ("size", T::Integer, None),
        ("vip", T::Bool, Some(T::Integer)),
        ("since", T::Date, Some(T::Timestamp)),
        ("seats", T::Integer, Some(T::Decimal)),
        ("score", T::Float, Some(T::Bool)),
    ] {
        let field = schema.fields.iter().find(|field| field.name == format!("user_fields.{name}")).expect("a field");
        assert!(field.takes(&taken) && field.takes(&T::Text), "{name}");
        assert!(refused.is_none_or(|refused| !field.takes(&refused)), "{name}");
    }
}

#[tokio::test]
async fn imports_that_are_not_enabled_are_told_with_the_way_out() {
    let sandbox = stand_in(&[("imports", "off")]).await;
    let row = new(1, &["A1", "Ann", "ann@example.com", "pro"]);
    let fault = users(&*sandbox, "").write(Operation::Upsert, vec![row]).await.expect_err("off");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.remedy_text().contains("support"), "{}", fault.remedy_text());
}

#[tokio::test]
async fn the_stand_in_knows_its_settings_its_limit_and_its_scopes() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    assert!(sandbox.set("fail_next", "often").is_err() && sandbox.set("reject", "no equals sign").is_err());
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
    let sandbox = stand_in(&[("limit", "2/1m"), ("retry_after", "9")]).await;
    let bench = users(&*sandbox, "");
    let row = || vec![new(1, &["A1", "Ann", "ann@example.com", "pro"])];
    bench.verdicts(Operation::Upsert, row()).await;
    // The answer said that nothing is left: the account's gate is closed, and nothing is sent.
    let fault = bench.write(Operation::Upsert, row()).await.expect_err("the quota is used up");
    assert_eq!((fault.class, sandbox.calls()), (FaultClass::Throttled, 2));
    let fault = users(&*sandbox, "").write(Operation::Upsert, row()).await.expect_err("429");
    assert_eq!((fault.class, fault.retry_after.map(|wait| wait.as_secs())), (FaultClass::Throttled, Some(9)));
    let sandbox = stand_in(&[("scopes", "read,organizations:write")]).await;
    let fault = users(&*sandbox, "").write(Operation::Upsert, row()).await.expect_err("403");
    assert_eq!(fault.class, FaultClass::Auth);
    sandbox.set("scopes", "read,write").expect("a setting");
    sandbox.set("fail_next", "1").expect("a setting");
    let fault = users(&*sandbox, "").write(Operation::Upsert, row()).await.expect_err("500");
    assert_eq!(fault.class, FaultClass::Ambiguous);
}
