//! Whose audience it is, and what the token may do. Nothing is written.

use backhaul_kit::{AccountReport, Fault, FaultClass};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::answer::{self, FLAGGED_REMEDY};
use super::send::MetaDestination;
use super::sync::MANAGE;

/// What a token may have: writing, and the reading that is a part of it.
const FITTING: [&str; 2] = [MANAGE, "ads_read"];
/// The status of an audience that Meta has restricted.
const FLAGGED: i64 = 471;

impl MetaDestination {
    /// The ad account of the audience, and the permissions of the token, where it may look at itself.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let (id, number) = (&self.sync.audience, &self.sync.account.number);
        let audience = self.get(&[id], ("fields", "account_id,name,operation_status")).await?;
        let owner = audience["account_id"].as_str().map(|owner| owner.trim_start_matches("act_"));
        if owner.is_some_and(|owner| owner != number) {
            let fault = Fault::config(format!("audience {id} belongs to another ad account"));
            return Err(fault.remedy("correct `audience`, or `ad_account` of the destination"));
        }
        if audience["operation_status"]["code"] == FLAGGED {
            let fault = Fault::config(format!("audience {id} is flagged: its members cannot be changed"));
            return Err(fault.remedy(FLAGGED_REMEDY));
        }
        let name = audience["name"].as_str().unwrap_or(id);
        let mut report = AccountReport {
            identity: format!("meta:act_{number}"),
            label: format!("Meta ad account act_{number}, audience \"{name}\""),
            unknowable: vec![String::from("the tasks that the system user has, and on which ad accounts")],
            grants: vec![format!(
                "a token of a system user with the permission {MANAGE} and nothing else; assign it the ad account \
                 act_{number} alone, with the task ADVERTISE"
            )],
            ..AccountReport::default()
        };
        let whose = "whose audience it is: Meta does not say";
        report.unknowable.extend(owner.is_none().then(|| whose.to_owned()));
        let token = self.graph.token.reveal()?;
        match self.get(&["debug_token"], ("input_token", token.expose_secret())).await {
            Ok(token) if token["data"]["is_valid"] == false => {
                return Err(Fault::auth("Meta says that the token is not valid").remedy("make a new one"));
            }
            Ok(token) => {
                let scopes = token["data"]["scopes"].as_array().cloned().unwrap_or_default();
                report.missing.extend((!scopes.iter().any(|scope| scope == MANAGE)).then(|| MANAGE.to_owned()));
                let scopes = scopes.iter().filter_map(Value::as_str).filter(|scope| !FITTING.contains(scope));
                report.excess = scopes.map(str::to_owned).collect();
            }
            Err(fault) if matches!(fault.class, FaultClass::Auth | FaultClass::Config) => {
                let why = "the permissions of the token: only the app, or one of its developers, may look at them";
                report.unknowable.push(String::from(why));
            }
            Err(fault) => return Err(fault),
        }
        Ok(report)
    }

    async fn get(&self, path: &[&str], (name, value): (&str, &str)) -> Result<Value, Fault> {
        let mut url = self.sync.account.url(path)?;
        url.query_pairs_mut().append_pair(name, value);
        let answer = self.graph.http.ask(self.graph.signed(Method::GET, url)?).await?;
        answer::read(&answer, self.graph.http.limiter(), self.sync.account.http.share).map_err(Fault::not_applied)
    }
}
