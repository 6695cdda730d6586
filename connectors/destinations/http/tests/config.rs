//! Wrong configurations.

use backhaul_kit::{AddressKind, Evidence, Operation};

use super::{prepared, read};

const ACCOUNT: &str = "[account]\nurl = \"https://api.example.com/v2\"\n";
const CALL: &str = "success = { evidence = \"call\" }";

/// Codes of the problems, and the text that each one marks.
fn problems(text: &str) -> Vec<(String, String)> {
    let (_, problems) = read(text, &["email", "address.city"]);
    problems
        .into_iter()
        .map(|problem| {
            let span = problem.span.expect("every problem has a place");
            (problem.code.to_owned(), span.file.text[span.range].to_owned())
        })
        .collect()
}

fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(code, text)| ((*code).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn the_account_is_checked_key_by_key() {
    let account =
        |lines: &str| problems(&format!("[account]\n{lines}\n[into]\n[into.request]\nurl = \"/a\"\n{CALL}\n"));
    assert_eq!(account("url = \"ftp://example.com\""), of(&[("bad-url", "\"ftp://example.com\"")]));
    assert_eq!(account("url = \"https://u:p@example.com\""), of(&[("bad-url", "\"https://u:p@example.com\"")]));
    assert_eq!(account("url = \"https://example.com?key=1\""), of(&[("bad-url", "\"https://example.com?key=1\"")]));
    let good = "url = \"https://example.com\"\n";
    let inline = format!("{good}token = \"abc\"");
    assert_eq!(account(&inline), of(&[("inline-secret", "\"abc\"")]));
    let header = format!("{good}headers = {{ Authorization = \"Bearer abc\" }}");
    assert_eq!(account(&header), of(&[("inline-secret", "\"Bearer abc\"")]));
    let two = format!("{good}token = {{ env = \"A\" }}\nbasic = {{ user = \"u\", password = {{ env = \"B\" }} }}");
    assert_eq!(account(&two), of(&[("two-credentials", "basic")]));
    let limits = format!("{good}limits = [{{ cap = 0, per = \"10s\" }}, {{ cap = 5 }}]");
    let codes: Vec<_> = account(&limits).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["out-of-range", "missing-key"]);
    assert_eq!(account(&format!("{good}timeout = \"5s\"")), of(&[("unknown-key", "timeout")]));
    assert_eq!(account(&format!("{good}check = \"me\"")), of(&[("bad-path", "\"me\"")]));
    assert_eq!(account(&format!("{good}quota = \"50%\""))[0].0, "quota-without-limits");
    assert_eq!(account("url = \"http://example.com\""), of(&[("plain-http", "\"http://example.com\"")]));
    assert_eq!(account("url = \"http://127.0.0.1:8080\""), []);
}

#[test]
fn success_has_no_default_and_the_problem_explains_both_kinds() {
    let (_, found) = read(&format!("{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\n"), &["email"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code, "missing-key");
    let remedy = found[0].remedy.as_deref().unwrap_or_default();
    assert!(remedy.contains("evidence = \"call\"") && remedy.contains("evidence = \"row\""), "{remedy}");
}

#[test]
fn rows_must_be_named_and_judged() {
    let success = |inner: &str| {
        let text = format!("{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\nbatch_size = 5\nsuccess = {{ {inner} }}\n");
        problems(&text).into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(success("evidence = \"row\", error = \"e\""), ["rows-unnamed"]);
    assert_eq!(success("evidence = \"row\", key = \"k\", index = \"i\", error = \"e\""), ["rows-unnamed"]);
    assert_eq!(success("evidence = \"row\", key = \"k\""), ["rows-unjudged"]);
    assert_eq!(success("evidence = \"count\""), ["unknown-choice"]);
    assert_eq!(success("evidence = \"call\", id = \"id\""), ["id-of-a-batch"]);
    assert_eq!(success("evidence = \"call\", results = \"r\""), ["unknown-key"]);
    assert_eq!(success("evidence = \"call\", statuses = [20, \"x\"]"), ["out-of-range", "wrong-type"]);
}

#[test]
fn templates_are_compiled_when_the_project_is_loaded() {
    let request = |lines: &str| problems(&format!("{ACCOUNT}[into]\n[into.request]\n{lines}\n{CALL}\n"));
    assert_eq!(request("url = \"/a/{{ key\""), of(&[("bad-template", "\"/a/{{ key\"")]));
    assert_eq!(request("url = \"/a/{{ email }}\""), of(&[("unknown-variable", "\"/a/{{ email }}\"")]));
    let now = "url = \"/a\"\nbody = '{\"at\": {{ now() }}}'";
    assert_eq!(request(now), of(&[("unknown-variable", "'{\"at\": {{ now() }}}'")]));
    let row_in_batch = "url = \"/a/{{ key }}\"\nbatch_size = 10";
    assert_eq!(request(row_in_batch), of(&[("unknown-variable", "\"/a/{{ key }}\"")]));
    let filter = "url = \"/a\"\nbody = '{{ key | shuffle }}'";
    let codes: Vec<_> = request(filter).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["bad-template"]);
    let (_, found) = read(
        &format!("{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\nbody = '{{\"id\": \"{{{{ key }}}}\"}}'\n{CALL}\n"),
        &["email"],
    );
    assert_eq!((found.len(), found[0].code), (1, "body-not-json"));
    let twice = "url = \"/a\"\nbody = '{{ fields }}'\nkey_field = \"id\"";
    assert_eq!(request(twice), of(&[("body-twice", "'{{ fields }}'")]));
}

#[test]
fn removals_need_a_call_that_names_the_row() {
    let request = format!("[into.request]\nurl = \"/a\"\n{CALL}\n");
    let found = problems(&format!("{ACCOUNT}[into]\nremoved = \"delete\"\n{request}"));
    assert_eq!(found, of(&[("missing-key", "\"delete\"")]));
    let remove = |url: &str| format!("[into.remove]\nurl = \"{url}\"\n{CALL}\n");
    let found = problems(&format!("{ACCOUNT}[into]\nremoved = \"delete\"\n{request}{}", remove("/a")));
    assert_eq!(found[0].0, "removal-names-no-row");
    let found = problems(&format!("{ACCOUNT}[into]\n{request}{}", remove("/a/{{ key }}")));
    assert_eq!(found[0].0, "remove-unused");
    let found = problems(&format!("{ACCOUNT}[into]\nremoved = \"clear\"\n{request}{}", remove("/a/{{ key }}")));
    assert_eq!(found, of(&[("unsupported-removed", "\"clear\"")]));
}

#[test]
fn many_problems_come_at_once() {
    let text = "[account]\nurl = \"https://example.com\"\nqouta = \"5%\"\nconcurrency = \"many\"\n\
                [into]\n[into.request]\nurl = \"rows\"\nmethod = \"SEND\"\nsuccess = { evidence = \"call\" }\n";
    let codes: Vec<_> = problems(text).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["wrong-type", "unknown-key"], "the account first");
    let text = "[account]\nurl = \"https://example.com\"\n[into]\n[into.request]\nurl = \"rows\"\nmethod = \"SEND\"\n\
                batch_size = 0\nsucces = 1\nsuccess = { evidence = \"call\" }\n";
    let codes: Vec<_> = problems(text).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["unknown-choice", "out-of-range", "bad-path", "unknown-key"]);
}

#[test]
fn facts_follow_from_what_is_written() {
    let text = format!(
        "{ACCOUNT}concurrency = 7\ntimeouts = {{ total = \"20s\" }}\n[into]\nremoved = \"delete\"\n\
         [into.request]\nurl = \"/rows\"\nbatch_size = 25\nmax_bytes = 1000\n\
         success = {{ evidence = \"row\", in_order = true, error = \"e\" }}\n\
         [into.remove]\nurl = \"/rows/{{{{ remote_id }}}}\"\nconcurrency = 2\n{CALL}\n"
    );
    let prepared = prepared(&text, &["email"]);
    let write = prepared.facts(Operation::Upsert);
    assert_eq!((write.max_rows, write.max_bytes, write.concurrency), (25, Some(1000), 7));
    assert_eq!((write.evidence, write.resend_safe, write.address), (Evidence::Row, false, AddressKind::None));
    assert_eq!(write.settle_after.as_secs(), 20);
    let remove = prepared.facts(Operation::Delete);
    assert_eq!((remove.max_rows, remove.concurrency), (1, 2));
    assert_eq!((remove.evidence, remove.resend_safe, remove.address), (Evidence::Call, true, AddressKind::RemoteId));
}

#[test]
fn a_job_and_a_question_name_what_they_ask_for() {
    let problems = |lines: &str| {
        let text = format!("{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\n{lines}\n");
        let (_, found) = read(&text, &["email"]);
        found.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert_eq!(
        problems("success = { evidence = \"job\" }"),
        ["`into.request.success` needs `job`: where a job is asked after"]
    );
    let job = |url: &str| {
        format!("success = {{ evidence = \"job\", job = {{ url = \"{url}\", done = {{ field = \"done\" }} }} }}")
    };
    assert_eq!(problems(&job("/jobs/{{ job }}")), Vec::<String>::new());
    assert_eq!(problems(&job("/jobs")), ["`into.request.success.job.url` does not say which job is asked after"]);
    assert_eq!(problems(&job("/jobs/{{ key }}")), ["`into.request.success.job.url` can read `job` and no more"]);
    let ask = |url: &str| format!("{CALL}\n[into.read_back]\nurl = \"{url}\"");
    assert_eq!(problems(&ask("/a/{{ fields.email }}")), Vec::<String>::new());
    assert_eq!(problems(&ask("/a")), ["`into.read_back.url` does not say which row is asked for"]);
    assert_eq!(
        problems(&ask("/a/{{ remote_id }}{{ nobody }}")),
        ["`into.read_back.url` reads `nobody`, which is not there"]
    );
}

#[test]
fn resending_is_safe_by_method_idempotency_or_word() {
    let safe = |lines: &str| {
        let text = format!("{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\n{CALL}\n{lines}\n");
        prepared(&text, &["email"]).facts(Operation::Upsert).resend_safe
    };
    assert!(!safe(""));
    assert!(!safe("method = \"PATCH\""));
    assert!(safe("method = \"PUT\""));
    assert!(!safe("method = \"PUT\"\nresend_safe = false"));
    assert!(safe("resend_safe = true"));
    assert!(safe("idempotency = { header = \"Idempotency-Key\" }"));
}

#[test]
fn the_schema_has_every_key_that_is_read_and_no_other() {
    use super::super::schema;
    use std::collections::BTreeSet;

    // A key that is not known is reported with those that are.
    let known = |text: &str, path: &str| -> BTreeSet<String> {
        let (_, found) = read(text, &["email"]);
        let message = format!("unknown key `{path}`");
        let problem = found.iter().find(|p| p.message == message).expect("the key is unknown");
        let remedy = problem.remedy.as_deref().unwrap_or_default();
        remedy.trim_start_matches("known here: ").split(", ").map(str::to_owned).collect()
    };
    let keys = |schema: &serde_json::Value| -> BTreeSet<String> {
        schema["properties"].as_object().expect("an object schema").keys().cloned().collect()
    };
    let kind = schema::kind();
    let rest = format!("[into]\n[into.request]\nurl = \"/a\"\n{CALL}\nzzz = 1\n");
    assert_eq!(known(&format!("{ACCOUNT}zzz = 1\n{rest}"), "account.zzz"), keys(&kind.account));
    let oauth = "oauth = { token_url = \"https://a.example/token\", client_id = \"me\", client_secret = { env = \"S\" }, zzz = 1 }\n";
    assert_eq!(
        known(&format!("{ACCOUNT}{oauth}{rest}"), "account.oauth.zzz"),
        keys(&kind.account["properties"]["oauth"])
    );
    let request = &kind.into["properties"]["request"];
    assert_eq!(known(&format!("{ACCOUNT}{rest}"), "into.request.zzz"), keys(request));
    let success = &request["properties"]["success"];
    let job = |more: &str, inner: &str| {
        format!(
            "{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\n[into.request.success]\nevidence = \"job\"\n\
             in_order = true\nerror = \"e\"\n{more}\n[into.request.success.job]\nurl = \"/jobs/{{{{ job }}}}\"\n\
             done = {{ field = \"done\" }}\n{inner}\n"
        )
    };
    assert_eq!(known(&job("zzz = 1", ""), "into.request.success.zzz"), keys(success));
    let inside = known(&job("", "zzz = 1"), "into.request.success.job.zzz");
    assert_eq!(inside, keys(&success["properties"]["job"]));
    let read_back = format!(
        "{ACCOUNT}[into]\n[into.request]\nurl = \"/a\"\n{CALL}\n[into.read_back]\nurl = \"/a/{{{{ key }}}}\"\nzzz = 1\n"
    );
    assert_eq!(known(&read_back, "into.read_back.zzz"), keys(&kind.into["properties"]["read_back"]));
    for schema in [&kind.account, &kind.into] {
        jsonschema::meta::validate(schema).expect("a valid JSON Schema");
    }
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let text = crate::destinations::fixture::example(include_str!("../mod.rs"));
    assert!(text.contains("[into.remove]"), "{text}");
    let (prepared, found) = read(&text, &["email", "plan"]);
    assert_eq!(found, []);
    let facts = prepared.expect("a destination").facts(Operation::Upsert);
    assert_eq!((facts.max_rows, facts.evidence), (100, Evidence::Row));
}
