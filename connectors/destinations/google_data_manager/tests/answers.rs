//! What answers mean that the stand-in does not give by itself.

use backhaul_kit::FaultClass;
use backhaul_kit::http::Answer;
use serde_json::json;

use super::*;
use crate::destinations::google_data_manager::answer::{Said, State, of_call, of_status, verdict};
use crate::destinations::google_data_manager::draft::Call;

fn answer(status: u16, body: &Json) -> Answer {
    let status = reqwest::StatusCode::from_u16(status).expect("a status");
    let (headers, asked) = (reqwest::header::HeaderMap::new(), tokio::time::Instant::now());
    Answer { status, headers, body: body.to_string().into(), asked }
}

/// A call of the rows at these places.
fn call(places: &[usize]) -> Call {
    Call { path: "audienceMembers:ingest", body: "{}".into(), places: places.to_vec() }
}

fn refused(status: u16, reason: &str, violations: &[(&str, &str)]) -> Answer {
    let violations =
        violations.iter().map(|(field, reason)| json!({ "field": field, "description": "no", "reason": reason }));
    let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason });
    let bad = json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations.collect::<Json>() });
    let error = json!({ "code": status, "message": "no", "status": "INVALID_ARGUMENT", "details": [info, bad] });
    answer(status, &json!({ "error": error }))
}

fn fault(answer: &Answer, places: &[usize]) -> Fault {
    of_call(answer, &call(places)).expect_err("a fault")
}

#[test]
fn members_are_named_by_index_in_either_way_of_writing() {
    let both = [
        ("audience_members[1].user_data.user_identifiers[0].email_address", "INVALID_SHA256_FORMAT"),
        ("audienceMembers[2].userData", ""),
    ];
    let said = of_call(&refused(400, "INVALID_ARGUMENT", &both), &call(&[4, 7, 9])).expect("rows");
    let Said::Refused(rows) = said else { panic!("not taken in: {said:?}") };
    let codes: Vec<(usize, &str)> = rows.iter().map(|(place, reason)| (*place, reason.code.as_str())).collect();
    assert_eq!(codes, [(7, "INVALID_SHA256_FORMAT"), (9, "INVALID_ARGUMENT")]);
}

#[test]
fn an_index_beyond_the_call_or_a_field_of_the_request_blames_no_member() {
    for field in ["audience_members[3].user_data", "destinations[0]", "audience_members[", "audience_members[-1]"] {
        let answer = refused(400, "INVALID_ARGUMENT", &[("audience_members[0].user_data", ""), (field, "")]);
        assert_eq!(fault(&answer, &[0, 1, 2]).class, FaultClass::Config, "{field}");
    }
}

#[test]
fn a_reason_that_only_members_have_cuts_the_batch_and_one_of_the_account_stops_the_run() {
    let unnamed = refused(400, "INVALID_HEX_ENCODING", &[]);
    assert_eq!(fault(&unnamed, &[0, 1]).class, FaultClass::Split);
    assert!(matches!(of_call(&unnamed, &call(&[5])), Ok(Said::Refused(rows)) if rows.contains_key(&5)));
    for (status, reason, class, remedy) in [
        (400, "TERMS_AND_CONDITIONS_NOT_SIGNED", FaultClass::Config, "terms of Customer Match"),
        (400, "INVALID_USER_LIST_ID", FaultClass::Config, "`audience`"),
        (400, "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", FaultClass::Config, "`login_account`"),
        (400, "SOMETHING_NEW", FaultClass::Config, "configuration"),
        (403, "PERMISSION_DENIED", FaultClass::Auth, "access"),
        (500, "INTERNAL_ERROR", FaultClass::Ambiguous, ""),
        (413, "", FaultClass::Split, ""),
    ] {
        let fault = fault(&refused(status, reason, &[]), &[0, 1]);
        assert_eq!(fault.class, class, "{reason}");
        assert!(
            fault.message.contains(reason) && fault.remedy_text().contains(remedy),
            "{fault}: {}",
            fault.remedy_text()
        );
    }
}

#[test]
fn a_used_up_quota_is_named() {
    let info = json!({ "reason": "RESOURCE_EXHAUSTED", "metadata": { "quota_limit": "IngestPerDayPerProject" } });
    let answer = answer(429, &json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": [info] } }));
    let fault = fault(&answer, &[0]);
    assert_eq!(fault.class, FaultClass::Throttled);
    assert!(fault.message.contains("IngestPerDayPerProject"), "{fault}");
}

/// The status of a request of two members.
fn status(word: &str, reasons: &[(&str, &str)]) -> Answer {
    let counts = reasons
        .iter()
        .map(|(reason, count)| json!({ "reason": format!("PROCESSING_ERROR_REASON_{reason}"), "recordCount": count }));
    let status = json!({ "requestStatus": word, "errorInfo": { "errorCounts": counts.collect::<Json>() } });
    answer(200, &json!({ "requestStatusPerDestination": [status] }))
}

#[test]
fn a_status_becomes_one_verdict_or_none() {
    let of = |answers: &[Answer]| {
        let jobs = answers.iter().map(|answer| of_status(answer, 2).expect("a job"));
        verdict(&jobs.collect::<Vec<_>>())
    };
    let done = status("SUCCESS", &[]);
    assert_eq!(of(&[done.clone(), done.clone()]).expect("a verdict"), Verdict::Written { remote_id: None });
    let refused = of(&[status("FAILED", &[("NO_CONSENT", "2")])]).expect("a verdict");
    assert_eq!(code(&refused), "NO_CONSENT");
    for passing in [&[("INTERNAL_ERROR", "2")][..], &[]] {
        assert_eq!(of(&[status("FAILED", passing)]).expect("a verdict"), Verdict::Retry(None));
    }
    assert_eq!(of(&[status("PARTIAL_SUCCESS", &[("INTERNAL_ERROR", "1")])]).expect("a verdict"), Verdict::Unknown);
    let mixed = [("DENIED_CONSENT", "1"), ("INTERNAL_ERROR", "1")];
    for parts in [
        vec![status("PARTIAL_SUCCESS", &mixed)],
        vec![status("PARTIAL_SUCCESS", &[])],
        vec![done, status("FAILED", &mixed)],
    ] {
        assert_eq!(of(&parts).expect_err("cut in two").class, FaultClass::Split);
    }
}

#[test]
fn a_status_of_other_members_proves_nothing() {
    let mut said = json!({ "requestStatus": "SUCCESS" });
    said["audienceMembersRemovalStatus"]["userDataRemovalStatus"]["recordCount"] = "3".into();
    let job = of_status(&answer(200, &json!({ "requestStatusPerDestination": [said] })), 2).expect("a job");
    assert_eq!(verdict(&[job]).expect("a verdict"), Verdict::Unknown);
    for word in ["PROCESSING", "REQUEST_STATUS_UNKNOWN", "SOMETHING_NEW"] {
        assert_eq!(of_status(&status(word, &[]), 2).expect("a job").state, State::Processing);
    }
    let nothing = of_status(&answer(200, &json!({})), 2).expect_err("no status");
    assert_eq!(nothing.class, FaultClass::Transient);
}
