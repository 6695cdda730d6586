//! `oauth`: access tokens of OAuth 2.0.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::HttpOptions;
use backhaul_kit::http::token::{Grant, TokenSource, Tokens};
use backhaul_kit::{Fault, Kit};
use reqwest::Url;

use super::account::read_url_at;

/// Where tokens come from, not yet read.
#[derive(Clone, Debug)]
pub(super) struct OAuth {
    url: Url,
    /// None for client credentials.
    refresh_token: Option<SecretRef>,
    client_id: String,
    client_secret: Option<SecretRef>,
    secret_in_form: bool,
    scope: Option<String>,
    more: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Kind {
    ClientCredentials,
    RefreshToken,
}

impl OAuth {
    /// Reads the table, where there is one; problems go to it.
    pub(super) fn read(account: &mut ConfigTable) -> Option<Self> {
        let mut table = account.table("oauth")?;
        let kinds = [("client_credentials", Kind::ClientCredentials), ("refresh_token", Kind::RefreshToken)];
        let url = read_url_at(&mut table, "token_url");
        let kind = table.choice("grant", &kinds).unwrap_or(Kind::ClientCredentials);
        let client_id = table.required_text("client_id");
        let client_secret = table.secret("client_secret");
        let refresh_token = match kind {
            Kind::ClientCredentials => {
                if client_secret.is_none() && !table.has("client_secret") {
                    table.missing("client_secret");
                }
                if table.has("refresh_token") {
                    let message = format!("`{}` belongs to the grant refresh_token", table.path_of("refresh_token"));
                    let problem = Problem::error("contradiction", message).at(table.span());
                    table.problems().push(problem.remedy("set grant = \"refresh_token\", or take it out"));
                    table.secret("refresh_token");
                }
                None
            }
            Kind::RefreshToken => Some(table.required_secret("refresh_token")?),
        };
        let secret_in_form = table.choice("secret_in", &[("header", false), ("form", true)]).unwrap_or(false);
        let scope = table.text("scope");
        let mut more = Vec::new();
        if let Some(mut form) = table.table("form") {
            for (name, _) in form.keys() {
                more.extend(form.text(&name).map(|value| (name, value)));
            }
            form.finish();
        }
        table.finish();
        Some(Self { url: url?, refresh_token, client_id: client_id?, client_secret, secret_in_form, scope, more })
    }

    /// Where tokens are asked for.
    pub(super) fn token_url(&self) -> &Url {
        &self.url
    }

    /// The tokens that all syncs of this process share.
    pub(super) fn tokens(&self, kit: &Kit, options: &HttpOptions) -> Result<Arc<Tokens>, Fault> {
        let Self { url, client_id, scope, .. } = self;
        let holder = format!("{url} {client_id} {}", scope.as_deref().unwrap_or_default());
        kit.tokens.get(&holder, || {
            let source = TokenSource {
                url: url.clone(),
                grant: match &self.refresh_token {
                    Some(token) => Grant::RefreshToken(kit.secret(token)),
                    None => Grant::ClientCredentials,
                },
                client_id: client_id.clone(),
                client_secret: self.client_secret.as_ref().map(|secret| kit.secret(secret)),
                secret_in_form: self.secret_in_form,
                scope: scope.clone(),
                more: self.more.clone(),
            };
            Tokens::new(source, options)
        })
    }
}
