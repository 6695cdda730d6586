//! Whose audience it is, and what the token may do. Nothing is written.

use backhaul_kit::{AccountReport, Fault, FaultClass};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::answer::{self, FLAGGED_REMEDY};
use super::send::MetaDestination;
use super::sync::MANAGE;

/// What a token may have: writing, and the reading that is a part of it.
const FITTING: [&str; 2] = [MANAGE, "ads_read"];
/// The status of an audience that Meta has restricted.
const FLAGGED: i64 = 471;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Audience {
    account_id: Option<String>,
    name: String,
    operation_status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
}

#[derive(Debug, Deserialize)]
struct Inspected {
    data: Token,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Token {
    is_valid: Option<bool>,
    scopes: Vec<String>,
}

impl MetaDestination {
    /// The ad account of the audience, and the permissions of the token, where it may look at itself.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let account = &self.sync.account;
        let audience: Audience =
            self.get(&[&self.sync.audience], &[("fields", "account_id,name,operation_status")]).await?;
        let number = account.ad_account.trim_start_matches("act_");
        let owner = audience.account_id.as_deref().map(|id| id.trim_start_matches("act_"));
        if owner.is_some_and(|owner| owner != number) {
            let message = format!("audience {} belongs to another ad account", self.sync.audience);
            return Err(Fault::config(message).remedy("correct `audience`, or `ad_account` of the destination"));
        }
        if audience.operation_status.code == FLAGGED {
            let message = format!("audience {} is flagged: its members cannot be changed", self.sync.audience);
            return Err(Fault::config(message).remedy(FLAGGED_REMEDY));
        }
        let mut report = AccountReport {
            identity: format!("meta:{}", account.ad_account),
            label: format!("Meta ad account {}, audience \"{}\"", account.ad_account, audience.name),
            unknowable: vec![String::from("the tasks that the system user has, and on which ad accounts")],
            grants: vec![format!(
                "a token of a system user with the permission {MANAGE} and nothing else; assign it the ad account {} \
                 alone, with the task ADVERTISE",
                account.ad_account
            )],
            ..AccountReport::default()
        };
        if owner.is_none() {
            report.unknowable.push(String::from("whose audience it is: Meta does not say"));
        }
        let token = self.graph.token.reveal()?;
        match self.get::<Inspected>(&["debug_token"], &[("input_token", token.expose_secret())]).await {
            Ok(Inspected { data: Token { is_valid: Some(false), .. } }) => {
                return Err(Fault::auth("Meta says that the token is not valid").remedy("make a new one"));
            }
            Ok(Inspected { data: Token { scopes, .. } }) => {
                if !scopes.iter().any(|scope| scope == MANAGE) {
                    report.missing.push(MANAGE.to_owned());
                }
                report.excess = scopes.into_iter().filter(|scope| !FITTING.contains(&scope.as_str())).collect();
            }
            Err(fault) if matches!(fault.class, FaultClass::Auth | FaultClass::Config) => {
                let why = "the permissions of the token: only the app, or one of its developers, may look at them";
                report.unknowable.push(String::from(why));
            }
            Err(fault) => return Err(fault),
        }
        Ok(report)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Fault> {
        let mut url = self.sync.account.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let request = self.graph.signed(Method::GET, url)?;
        let answer = self.graph.http.send(request).await.map_err(answer::of_reading)?;
        answer::read(&answer, self.graph.http.limiter()).map_err(answer::of_reading)
    }
}
