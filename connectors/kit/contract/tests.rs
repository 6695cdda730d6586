//! The suite finds what it is there to find: a destination that believes everything fails it.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use serde_json::json;

use super::{Case, HttpSubject, Received, Scripted, Subject, row};
use crate::batch::{Batch, Delivery, Operation, Outcomes, Row, Verdict};
use crate::context::Kit;
use crate::destination::{AccountReport, Destination, Prepared, Run, Tickets};
use crate::facts::Facts;
use crate::fault::Fault;
use crate::http::limit::Limiter;
use crate::http::{Auth, Http, HttpOptions, Request};
use crate::preview::RequestPreview;
use crate::value::Value;

/// Sends its rows and takes whatever happens for success.
#[derive(Clone)]
struct Gullible;

struct At(Url);

#[async_trait]
impl Destination for At {
    async fn check(&self) -> Result<AccountReport, Fault> {
        Ok(AccountReport::default())
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        let client = Http::new(&HttpOptions::default(), Auth::None, Arc::new(Limiter::new(&[])))?;
        let _ = client.send(Request::new(reqwest::Method::POST, self.0.clone())).await;
        Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Written { remote_id: None })))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let headers = vec![("authorization".into(), super::CANARY.into())];
        let body = format!("{} rows", batch.rows.len());
        Ok(vec![RequestPreview { method: "POST".into(), target: self.0.to_string(), headers, body }])
    }
}

impl Prepared for At {
    fn facts(&self, _operation: Operation) -> Facts {
        Facts { max_rows: 10, ..Facts::default() }
    }

    fn object(&self) -> String {
        "things".into()
    }

    fn open(&self, _kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(At(self.0.clone())))
    }
}

impl Subject for Gullible {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        Arc::new(At(Url::parse(url).expect("a URL")))
    }

    fn kit(&self) -> Arc<Kit> {
        super::canary_kit(".".as_ref())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![Operation::Upsert]
    }

    fn row(&self, _operation: Operation, op: u64) -> Row {
        row(op, i64::try_from(op).expect("a small number"), vec![Value::Bool(true)])
    }
}

impl HttpSubject for Gullible {
    fn answer(&self, _case: Case, _batch: &Batch, _request: &Received) -> Scripted {
        Scripted::json(200, &json!({}))
    }
}

#[tokio::test]
async fn what_it_does_right_passes() {
    super::facts_are_sane(&Gullible);
    super::full_success_is_written(Gullible).await;
}

#[test]
#[should_panic(expected = "a secret in")]
fn a_secret_in_a_preview_is_found() {
    super::a_preview_shows_no_secret(&Gullible);
}

/// Each question that it must fail.
macro_rules! fails {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            #[should_panic]
            async fn $name() {
                super::$name(Gullible).await;
            }
        )*
    };
}

fails!(
    an_empty_batch_makes_no_call
    a_refused_row_is_rejected_and_the_others_are_not
    no_success_is_no_row_written
    throttling_is_passed_on_with_its_wait
    an_expired_credential_is_an_auth_fault
    a_lost_answer_is_never_success
    a_truncated_answer_is_never_success
    a_server_that_cannot_be_reached_is_transient
    an_answer_that_names_no_row_leaves_all_unknown
    a_page_of_html_is_never_success
    an_error_of_the_server_is_ambiguous
    a_refused_call_is_no_success
    a_call_that_is_too_large_is_cut
    throttling_is_known_in_every_form
    a_credential_that_expires_on_the_way_is_told
);
