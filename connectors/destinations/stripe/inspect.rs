//! Whose key it is, and what it may do. Nothing is written, and Stripe tells no permissions: what can be seen is
//! whether a call is refused.

use backhaul_kit::http::Auth;
use backhaul_kit::{AccountReport, Fault, FaultClass, Operation, Prepared as _};
use reqwest::Method;
use secrecy::ExposeSecret as _;

use super::answer;
use super::send::StripeDestination;
use super::sync::{CUSTOMERS, READ, WRITE};
use super::wire::AccountAnswer;

/// An object that no sync needs: a key that may read it may do more than it should.
const NEEDLESS: &str = "charges";

impl StripeDestination {
    /// Which account and which of its data (live or test) the key is of; what it lacks, and what it has beyond need.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let Auth::Bearer(secret) = self.http.auth() else { return Err(Fault::bug("Stripe's client has no key")) };
        let (unrestricted, data) = {
            let key = secret.reveal()?;
            let key = key.expose_secret();
            let data = ["live", "test"].into_iter().find(|data| key.contains(&format!("_{data}_")));
            (key.starts_with("sk_"), data.unwrap_or("unknown"))
        };
        let mut report = AccountReport::default();
        let account = self.answer_of(&["account"]).await?.and_then(|answer| answer.json::<AccountAnswer>());
        let id = account.map_or_else(|| String::from("unknown"), |account| account.id);
        if id == "unknown" {
            report.unknowable.push(String::from("which account it is: the key may not read it"));
        }
        report.identity = format!("stripe:{id}:{data}");
        report.label = format!("Stripe account {id}, {data} data");
        let reads = self.sync.facts(Operation::Update).scopes.iter().any(|scope| scope == READ);
        if reads && self.answer_of(&[CUSTOMERS]).await?.is_none() {
            report.missing.push(READ.to_owned());
        }
        if unrestricted {
            report.excess.push(String::from("everything: it is a secret key (sk_…), not a restricted one (rk_…)"));
        } else if self.answer_of(&[NEEDLESS]).await?.is_some() {
            report.excess.push(format!("reading {NEEDLESS}"));
        }
        report.unknowable.push(format!("whether it has {WRITE}: Stripe says so only when it refuses a write"));
        Ok(report)
    }

    /// The answer of a read; `None` where the key may not make it.
    async fn answer_of(&self, path: &[&str]) -> Result<Option<backhaul_kit::http::Answer>, Fault> {
        let mut request = self.sync.account.call(Method::GET, path)?;
        if path != ["account"] {
            request.url.query_pairs_mut().append_pair("limit", "1");
        }
        let answer = self.http.ask(request).await?;
        if answer.status.as_u16() == 403 {
            return Ok(None);
        }
        match answer::refusal(&answer, &self.sync.params) {
            Ok(None) => Ok(Some(answer)),
            Ok(Some(_)) => Ok(None),
            Err(fault) if fault.class == FaultClass::Config => Ok(None),
            Err(fault) => Err(fault.not_applied()),
        }
    }
}
