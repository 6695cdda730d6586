//! Meta: the people of a custom audience (Marketing API, v25.0).
//!
//! ```toml
//! # backhaul.toml
//! [destinations.ads]
//! type       = "meta"
//! ad_account = "act_1234567890"
//! token      = { secret = "meta-token" }      # of a system user with ads_management
//!
//! # a sync
//! [into]
//! audience = "23851234567890"
//! mode     = "audience"
//!
//! [fields]
//! EMAIL     = "email"
//! PHONE     = "phone"
//! FN        = "first_name"
//! LN        = "last_name"
//! COUNTRY   = "country"
//! EXTERN_ID = "customer_id"
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: ad account, token, limits |
//! | `sync` | `[into]` and the facts of each operation |
//! | `person` | columns, the form of each, and what finds a person again |
//! | `session` | numbers of sessions and batches |
//! | `answer` | counts, errors, and how much of the quota is used |
//! | `send` | the destination |
//! | `inspect` | whose audience it is, what the token may do |
//! | `sandbox` | the stand-in |
//!
//! # Objects
//!
//! | object | mode | a row that left | found by | a call takes |
//! |---|---|---|---|---|
//! | a custom audience, by its id | `audience` | is taken out | the hashes it was sent as | 10,000 people |
//!
//! **Fields** have Meta's names: `EMAIL`, `PHONE`, `MADID`, `EXTERN_ID`, `FN`, `LN`, `FI`, `GEN`, `DOBY`, `DOBM`,
//! `DOBD` (of a date its part), `CT`, `ST`, `ZIP`, `COUNTRY`. Values come in clear, are brought into Meta's form and
//! hashed on their way out (SHA-256; not `MADID` and `EXTERN_ID`); a value that has no such form refuses its row. What
//! looks like a hash is refused too, unless `hashed = ["EMAIL"]` says that the column holds hashes of Meta's form. NULL
//! is left empty; a row without any of the first four and without `LN` stands for nobody, and is refused.
//!
//! **Limited data use**: `DATA_PROCESSING_OPTIONS` (true or `"LDU"`: limited; false or empty text: not; *NULL:
//! limited*, as nobody says otherwise), and perhaps `DATA_PROCESSING_OPTIONS_COUNTRY` and `_STATE` (numbers of Meta's,
//! none of which is known here; NULL is 0: Meta locates the person). A row that is not to be sent at all is not the
//! vendor's business: there is no signal of consent here.
//!
//! # Removals
//!
//! A row that left the model has no values any more: what it was sent as is kept. It is taken out by all of that,
//! except by an e-mail address, number, device or id that another member has too. Where all of them are another's,
//! nothing is sent.
//!
//! Of a row whose values changed, the addresses, numbers, devices and ids that it no longer has are taken out, *also
//! where another member has them, who is then out until its row is sent again* (`run --full`); then it is put in as it
//! is. If the second of these calls comes to nothing, the row is in doubt, and comes again. Whether Meta works on two
//! calls in their order was not found.
//!
//! Meta matches people, not rows: whom one row puts in and another one takes out by other values is out.
//!
//! # Sessions
//!
//! The batches of one operation in a run are a session: numbered from 1, one at a time, the last one marked. Removals
//! and additions have their own, since they are different calls. A call of which no answer came is made again with its
//! old number. A last batch that is sent again in parts begins another session, as does a run that goes on in another
//! process.
//!
//! # Facts, and where they come from
//!
//! *Users* is Meta's reference page of the endpoint, *guide* its guide of customer file audiences, *limits* its pages on
//! rate limits (of the Graph API and of the Marketing API), *third parties* are other programs that call it.
//!
//! - `POST` and `DELETE /{audience}/users` with `session` and `payload` (`schema`, `data`); at most 10,000 rows a call;
//!   an unknown value is an empty string (users, guide). Changes take up to 24 hours.
//! - The answer counts rows and invalid rows, and names none (users). So a call without invalid ones is proved; one
//!   with some is cut until the bad row is alone. What was right of it was applied, and is in doubt until it is told
//!   of.
//! - Adding and removing may be repeated: members are a set. Meta has no idempotency key; that a repeated number of a
//!   batch is harmless is our reading.
//! - `X-Business-Use-Case-Usage` has whole percentages of what an app may use of an ad account in any hour, of calls, of
//!   CPU time and of time, and the minutes until calls are let through again; at 100 they may be refused (limits). It
//!   says neither what a call takes nor how it rounds. So calls go out as they come until 99 is told, and from there on
//!   one for each of ours that is an hour old: that uses 99 % where Meta rounds down, 98 where it rounds up. What 99
//!   leaves cannot be seen, and is kept for calls on their way, and for a count from which calls leave later than after
//!   an hour (by half a minute without 100 being told). With `quota = "50%"` it is 50 that has to be told, *whoever of
//!   the app calls*. A process that starts when that is told waits for an hour: it does not know the calls before it.
//!   `X-App-Usage` is read likewise. Where 100 is told without minutes, calls stop for five.
//! - `X-Ad-Account-Usage` has the percentage of an ad account's score, and the seconds in which that decays: a call that
//!   reads has one point, one that writes three, of 60 with Limited access and 9,000 with Full access; points decay in
//!   300 seconds, and at 100 % calls are blocked for up to as long (limits). Whether calls of audiences have points is
//!   not said. From 75 % on calls wait, at 100 % for those seconds.
//! - Limited access (Standard until 2026) has 5,000 calls an hour and 40 more for each active audience, Full access
//!   190,000 and as many more, neither above 700,000 (limits): 5,000 by default, and `per_hour` where there are more.
//! - Throttled: codes 4, 17, 613, 80003, 80004 (limits). 190 is the token, 200 and 294 its rights, 368 a blocked
//!   account, 105 too much at once, 100 with subcode 1713230 a flagged audience, which `check` finds by
//!   `operation_status` 471 (users).
//! - Codes 1, 2 and 2650 leave open whether the call was applied, as do answers from 500 on: it is made again.
//! - `debug_token` tells the permissions of a token to the app and to its developers only (its page): a system user's
//!   token that is refused leaves them unknown.
//!
//! Not verified against a live account: that Meta takes JSON bodies of 10,000 rows (third parties send JSON; a limit of
//! bytes was not found: `rows_per_call` lowers it) and the token in a header (third parties); `appsecret_proof` (third
//! parties); when `X-Ad-Account-Usage` is there; the fields `account_id` and `name` of an audience (Meta's own SDK
//! names them); postcodes with dashes outside of America, which keep them; states outside of America, which lose white
//! space and punctuation (third parties); whether two open sessions may overlap, and what becomes of one without a last
//! batch (about 90 minutes, third parties). An audience must be there: none is made. `customer_consent`,
//! `LOOKALIKE_VALUE`, `usersreplace` and the Conversions API are not used.

mod account;
mod answer;
mod inspect;
mod person;
pub mod sandbox;
mod send;
mod session;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName};

/// `type = "meta"`.
pub static META: DestinationKind = DestinationKind {
    name: "meta",
    title: "Meta",
    summary: "the people of custom audiences, hashed on their way out",
    objects: &[Object {
        name: ObjectName::None("`audience` says where people go"),
        modes: &[Mode::Audience],
        ..Object::PLAIN
    }],
    proof: "docs only",
    validated: "",
    errors: &[
        ("INVALID_ENTRY (rejects)", "Meta counts the row as invalid and does not say why: look at its values"),
        ("INVALID_… (rejects)", "the value has no form that Meta matches: mend it in the model"),
        ("ALREADY_HASHED (rejects)", "hash nothing in the model, or name the field in `hashed`"),
        ("code 190", "the token is no longer good: make a new one for the system user"),
        ("codes 200, 294", "a permission or the task ADVERTISE is missing, or nobody has accepted the terms"),
        ("code 100, subcode 1713230", "Meta has restricted the audience: appeal in the Audience Manager"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::MetaAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
