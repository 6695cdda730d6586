//! What `validate --offline` says.

use backhaul_kit::config::Problem;

use super::*;
use crate::destinations::google_data_manager::{account, sync};

const ACCOUNT: &str =
    "service_account = { env = \"KEY\" }\naccount = \"111-222-3333\"\ncustomer_match_terms = \"accepted\"";
const INTO: &str = "audience = \"987\"\nmode = \"audience\"";

fn read(account: &str, into: &str, fields: &[&str]) -> (Option<Arc<dyn Prepared>>, Vec<Problem>) {
    fixture::read(&GOOGLE_DATA_MANAGER, &format!("[account]\n{account}\n[into]\n{into}\n"), &["id"], fields)
}

fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let (prepared, problems) = read(account, into, fields);
    assert_eq!(prepared.is_none(), !problems.is_empty(), "{problems:?}");
    problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let example = fixture::example(include_str!("../mod.rs"));
    let (tables, _) = example.split_once("\n[fields]").expect("fields");
    let fields = ["email", "phone", "first_name", "last_name", "country", "postcode"];
    let prepared = fixture::prepared(&GOOGLE_DATA_MANAGER, tables, &["id"], &fields);
    assert_eq!(prepared.object(), "user_lists/987");
}

#[test]
fn every_problem_is_told_at_once() {
    let account = "oauth = { client_id = \"me\" }\naccount = \"my account\"\nlogin_account_type = \"google\"";
    let expected = ["missing-key", "missing-key", "bad-id", "unknown-choice", "terms-not-accepted"];
    assert_eq!(codes(account, INTO, FIELDS), expected);
    assert_eq!(codes("account = \"1\"\ncustomer_match_terms = \"accepted\"", INTO, FIELDS), ["missing-credential"]);
    let both = format!(
        "{ACCOUNT}\noauth = {{ client_id = \"me\", client_secret = {{ env = \"S\" }}, refresh_token = {{ env = \"R\" }} }}"
    );
    assert_eq!(codes(&both, INTO, FIELDS), ["missing-credential"]);
    let into = "object = \"contacts\"\nmode = \"upsert\"\nhashed = [\"postcode\", \"phone\"]";
    let expected = [
        "unknown-object",
        "unsupported-mode",
        "missing-key",
        "unknown-field",
        "incomplete-address",
        "unknown-field",
        "unknown-field",
    ];
    assert_eq!(codes(ACCOUNT, into, &["emial", "country", "postcode"]), expected);
}

#[test]
fn a_misspelt_field_is_told_the_nearest_name_and_half_an_address_what_is_lacking() {
    let (_, problems) = read(ACCOUNT, INTO, &["emial", "first_name"]);
    assert_eq!(problems[0].label.as_deref(), Some("did you mean `email`?"));
    assert!(problems[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("postcode")), "{problems:?}");
    assert!(problems[1].message.ends_with("last_name, country, postcode lack"), "{}", problems[1].message);
}

#[test]
fn hosts_are_named_and_a_stand_in_is_known() {
    let hosts = |keys: &str| {
        let text = format!("{ACCOUNT}\n{keys}");
        let file = backhaul_kit::config::SourceFile { path: "backhaul.toml".into(), text };
        let problems = backhaul_kit::config::Problems::default();
        let mut table = backhaul_kit::config::parse(&Arc::new(file), &problems);
        let account = backhaul_kit::DestinationKind::account(&GOOGLE_DATA_MANAGER, &mut table).expect("an account");
        (account.hosts(), account.is_stand_in())
    };
    let live = vec!["datamanager.googleapis.com:443".to_owned(), "oauth2.googleapis.com:443".to_owned()];
    assert_eq!(hosts(""), (live, false));
    assert_eq!(hosts("base_url = \"http://127.0.0.1:1\""), (vec!["127.0.0.1:1".to_owned()], true));
}

#[test]
fn facts_are_those_of_an_audience() {
    let (prepared, _) = read(ACCOUNT, &format!("{INTO}\nmembers_per_call = 500"), FIELDS);
    let prepared = prepared.expect("a sync");
    let facts = prepared.facts(Operation::AudienceAdd);
    assert_eq!((facts.max_rows, facts.consent), (500, &["ad_user_data", "ad_personalization"][..]));
    assert_eq!(facts.expires, Some(Duration::from_secs(540 * 86_400)));
    assert_eq!(prepared.facts(Operation::Move).concurrency, 1);
    assert_eq!(prepared.facts(Operation::Upsert).max_rows, 0);
}

#[test]
fn the_schema_has_every_key_that_is_read() {
    let properties = |schema: &Json| -> Vec<String> {
        schema["properties"].as_object().expect("properties").keys().cloned().collect()
    };
    let problems = backhaul_kit::config::Problems::default();
    let empty = Arc::new(backhaul_kit::config::SourceFile { path: "x.toml".into(), text: String::new() });
    let mut table = backhaul_kit::config::parse(&empty, &problems);
    account::GoogleAccount::read(&mut table);
    let mut read = table.known().to_vec();
    let mut described = properties(&account::json_schema());
    read.sort();
    described.sort();
    assert_eq!(read, described);
    assert_eq!(properties(&sync::json_schema()), ["audience", "hashed", "members_per_call"]);
}
