//! Google Data Manager: Customer Match audiences (Google Ads, Display & Video 360).
//!
//! ```toml
//! # backhaul.toml
//! [destinations.ads]
//! type                 = "google-data-manager"
//! service_account      = { secret = "google-key" }    # its JSON key; or `oauth`, a user's grant
//! account              = "111-222-3333"               # whose audiences these are
//! login_account        = "444-555-6666"               # optional: the manager through which it is reached
//! customer_match_terms = "accepted"                   # Google's terms of Customer Match: only you can accept them
//!
//! # a sync
//! [into]
//! audience = "987"                                    # the id of the user list
//! mode     = "audience"
//!
//! [fields]
//! email      = "email"
//! phone      = { column = "phone", as = "phone" }
//! first_name = "first_name"
//! last_name  = "last_name"
//! country    = "country"
//! postcode   = "postcode"
//!
//! [consent]
//! ad_user_data       = { column = "consent_ads", granted = ["granted"] }
//! ad_personalization = { column = "consent_ads_personal", granted = ["granted"] }
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: who calls, for which account |
//! | `sync` | `[into]` and the facts of each operation |
//! | `member` | a row as identifiers: normal forms, hashes |
//! | `draft` | a batch as calls |
//! | `answer` | what an answer says, of a call and of a request's status |
//! | `send` | the destination |
//! | `sandbox` | the stand-in |
//!
//! # What it writes
//!
//! | object | mode | a removed row | found by | a call takes | proof |
//! |---|---|---|---|---|---|
//! | `user_lists` (the list is `audience`) | `audience` | leaves the list | the hashes that it was sent as | 10,000 members | the request's status |
//!
//! Fields are `email`, `phone`, `first_name`, `last_name`, `country` and `postcode`, all by themselves optional; the last
//! four are one identifier and go together. E-mail addresses, telephone numbers and names are put into Google's normal form and
//! hashed here, on their way out (SHA-256, hexadecimal); country and postcode go in clear, as Google wants them. Every
//! row is a member with up to three identifiers.
//!
//! - A value that is no identifier (a telephone number without its country code, half an address) is left out, and the row goes with the
//!   others it has; the log says how many were left out. A row that has none is refused (`NO_IDENTIFIERS`); if it was a member
//!   before, it leaves the list.
//! - What looks like a hash is never hashed again: the row is refused (`ALREADY_HASHED`), unless `hashed = ["email"]` in
//!   `[into]` says that the field comes hashed by Google's rules. Then what is no hash is refused (`INVALID_HASH`).
//! - NULL is no identifier. There is nothing to `clear`.
//!
//! **Changes.** A row whose identifiers change is removed under those that it no longer has and added under the new ones: two
//! requests, in this order. *Whether Google processes two requests in their order was not found*; the removal
//! names only what the new row does not have, but where Google knows both addresses as one person, that person may be
//! missing until the row is sent again (`run --full`).
//!
//! **Shared identifiers.** Where two rows have an identifier in common and one of them leaves, the identifier stays for
//! the other. Where one of them *changes*, it goes, and the other row is found by its remaining identifiers alone until
//! it is sent again: let `match = "email"` refuse models in which two rows share one, if that is not good enough.
//!
//! # Accepted is not applied
//!
//! Google takes a request in, gives it a number, and works on it. So a batch is a job: its rows are accepted when
//! `requestStatus:retrieve` says so, and a run lasts as long. It is asked for after `status_after` (5 minutes; Google advises
//! 30, at a run's expense), and then ever more seldom.
//!
//! | status | rows |
//! |---|---|
//! | `SUCCESS` | accepted, if Google counts as many members as were sent; else in doubt |
//! | `FAILED` (none was taken in) | refused with Google's reason; sent again, where it is `INTERNAL_ERROR` or there is none |
//! | `PARTIAL_SUCCESS` | Google counts reasons and names no member. With `INTERNAL_ERROR` alone: all are sent again, which is harmless. Else the batch is cut in two until the status of each part is all or nothing |
//! | `PROCESSING` for two days, or a forgotten request | in doubt, and sent again in the next run |
//!
//! Nothing else would be true of each row: "accepted, 3 of 10,000 not" tells the snapshot nothing of the three. The price is time: each
//! cut is another job. `members_per_call` makes batches, and with them the search, smaller. A row found that way
//! is listed under `rejects` and stays in doubt, since an earlier job may have taken it in. Google drops members for want of
//! consent (`NO_CONSENT`, `DENIED_CONSENT`, `UNKNOWN_CONSENT`); these reasons come out the same way.
//!
//! A call that is refused at once names the members by index: these are refused, the others were not applied and go again. A
//! refusal that names no member and has a reason of the account, the list or the terms, or one that is not known here,
//! stops the run: nothing was applied. Reasons that only a member can have cut the batch in two.
//!
//! # Consent and expiry
//!
//! A sync must have `ad_user_data` and `ad_personalization` in `[consent]` (the facts name them); rows without them do not come
//! here, so that requests say `CONSENT_GRANTED` for the signals that the sync names, and nothing of others.
//! Members expire: the list's own membership duration, 540 days at most. The facts say 540 days; a list with a shorter one
//! needs a shorter `refresh_after`.
//!
//! # Facts, and where they come from
//!
//! *Spec* is the API description derived from Google's protos (google/ads/datamanager/v1), *guide* the pages of the developer's guide.
//!
//! - Base, paths, fields, states and reasons: spec. 10,000 members, 10 identifiers of each, 10 destinations (spec; one destination here).
//! - 300 requests a minute and 100,000 a day of a Cloud project (guide, limits); other services, as the status, 50,000 a day,
//!   which are counted here with the rest. Up to 10 requests in flight (guide, best practices). A quota that is used up: 429
//!   `RESOURCE_EXHAUSTED`, the quota's name in `ErrorInfo.metadata.quota_limit`. Headers of limits and `Retry-After` are
//!   not documented; the latter is honoured. A limit of bytes was not found.
//! - One scope, no developer token (guide, access). Scopes are looked up at `tokeninfo`, whose token goes in a form; the page that
//!   names this host was not found. A service account's token has no more than was asked for; a user's has all that was granted.
//! - `validateOnly` judges a request and does not carry it out (spec): `check` sends one with a member whose hash is all zeros.
//! - Normal forms: guide, formatting; the kit's `normalise::person`.
//!
//! Not verified against a live account: that a repeated request changes nothing (members are a set, in our reading); that a
//! removal takes out a member of which it names one identifier; whether one bad member's answer names all of them; the smallest role
//! in the account; how long a status is kept; kinds of accounts other than Google Ads. Data partners (who log in for
//! others, through a linked account) are not supported.

mod account;
mod answer;
mod draft;
mod member;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName};

/// `type = "google-data-manager"`.
pub static GOOGLE_DATA_MANAGER: DestinationKind = DestinationKind {
    name: "google-data-manager",
    title: "Google Data Manager",
    summary: "members of Customer Match audiences, hashed on their way out",
    objects: &[Object {
        name: ObjectName::None("`audience` says where members go"),
        modes: &[Mode::Audience],
        ..Object::PLAIN
    }],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        ("NO_IDENTIFIERS (rejects)", "no field holds a valid identifier: mend the values or the mapping"),
        ("ALREADY_HASHED, INVALID_HASH (rejects)", "`hashed` names the fields that come hashed, and no others"),
        ("INVALID_… (rejects)", "Google refused the member; its words are in `rejects show`"),
        ("…_CONSENT (rejects)", "Google dropped the member for want of consent"),
        ("TERMS_AND_CONDITIONS_NOT_SIGNED", "accept the terms of Customer Match in the account"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::GoogleAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
