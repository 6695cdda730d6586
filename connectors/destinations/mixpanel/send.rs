//! The destination: calls, and what they come to.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use backhaul_kit::config::Secret;
use backhaul_kit::http::{Http, Request};
use backhaul_kit::value::hex;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Kit, Outcomes, Prepared as _, RequestPreview, Run, Tickets,
    Verdict,
};
use jiff::Timestamp;
use reqwest::Method;
use secrecy::ExposeSecret as _;

use super::answer;
use super::draft::{Call, Draft};
use super::sync::{MixpanelSync, Object};

/// An event that breaks three rules: it is judged, and never taken in.
const PROBE: &str = r#"[{"event":"backhaul check","properties":{"time":1,"distinct_id":"null","$insert_id":"null"}}]"#;

/// One object of one project.
#[derive(Debug)]
pub(super) struct MixpanelDestination {
    sync: MixpanelSync,
    events: Http,
    profiles: Http,
    token: Secret,
}

impl MixpanelDestination {
    pub(super) fn new(sync: MixpanelSync, kit: &Kit) -> Result<Self, Fault> {
        let (events, profiles) = sync.account.clients(kit)?;
        let token = kit.secret(&sync.account.token);
        Ok(Self { sync, events, profiles, token })
    }

    fn import(&self, body: impl Into<bytes::Bytes>) -> Result<Request, Fault> {
        Ok(Request::new(Method::POST, self.sync.account.url("import", &[("strict", "1")])?).json(body))
    }

    fn request(&self, call: &mut Call) -> Result<(&Http, Request), Fault> {
        let body = std::mem::take(&mut call.body);
        if matches!(self.sync.object, Object::Events { .. }) {
            return Ok((&self.events, self.import(body)?));
        }
        let url = self.sync.account.url("engage", &[("strict", "1"), ("verbose", "1"), ("ip", "0")])?;
        Ok((&self.profiles, Request::new(Method::POST, url).json(body)))
    }

    async fn call(&self, call: &mut Call) -> Result<Vec<Verdict>, Fault> {
        let (http, request) = self.request(call)?;
        let answer = http.send(request).await?;
        match self.sync.object {
            Object::Events { .. } => answer::of_events(&answer, call),
            Object::Profiles { .. } => answer::of_profiles(&answer, call),
        }
    }
}

#[async_trait]
impl Destination for MixpanelDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let answer = self.events.ask(self.import(PROBE)?).await?;
        if answer.status != 400
            && let Some(fault) = answer::fault(&answer)
        {
            return Err(fault.not_applied());
        }
        let digest = digest(&SHA256, self.token.reveal()?.expose_secret().as_bytes());
        let region = self.sync.account.region;
        Ok(AccountReport {
            identity: format!("mixpanel:{region}:{}", &hex(digest.as_ref())[..12]),
            label: format!("Mixpanel project ({region})"),
            unknowable: vec![String::from("the project of the token: Mixpanel has no call that tells it")],
            ..AccountReport::default()
        })
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts(batch.operation).max_rows)?;
        let token = self.token.reveal()?;
        let Draft { mut calls, refused } = Draft::of(&self.sync, batch, Timestamp::now(), token.expose_secret());
        let mut said: Vec<Option<Verdict>> = vec![None; batch.rows.len()];
        let mut applied = false;
        for call in &mut calls {
            let verdicts =
                self.call(call).await.map_err(|fault| if applied { fault.after_a_write() } else { fault })?;
            applied = true;
            let mut all_written = true;
            for (place, verdict) in call.places.iter().zip(verdicts) {
                all_written &= matches!(verdict, Verdict::Written { .. });
                said[*place] = Some(verdict);
            }
            if !all_written {
                break;
            }
        }
        for (place, reason) in refused {
            said[place] = Some(Verdict::Rejected(reason));
        }
        let known = said.into_iter().enumerate().filter_map(|(place, verdict)| Some((place, verdict?)));
        Outcomes::at_places(batch, known).map(Delivery::Settled)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let token = format!("<{}>", self.token.reference());
        let mut draft = Draft::of(&self.sync, batch, Timestamp::now(), &token);
        let shown = draft.calls.iter_mut().map(|call| {
            let (http, request) = self.request(call)?;
            Ok(request.preview(http.auth()))
        });
        shown.collect()
    }
}
