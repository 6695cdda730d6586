//! People as advertising vendors match them: a normal form for each vendor, and its SHA-256.
//!
//! The forms differ (a Gmail address has its dots at one vendor and not at the other), so a hash made for one does not
//! serve the next: values come in clear and are hashed on their way out. The rules are those of the vendors' pages on
//! customer data: Google (Data Manager, "Formatting user data"), Meta ("Customer information parameters"), TikTok
//! ("Custom audience"), LinkedIn ("Matched audiences").

use aws_lc_rs::digest::{SHA256, digest};

use super::{Refusal, contact};
use crate::batch::Reason;
use crate::value::hex;

/// A vendor's rules for addresses and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Dots in the local part of Gmail's addresses mean nothing and are dropped.
    gmail_dots: bool,
    /// Whose `+suffix` is dropped.
    plus_suffix: PlusSuffix,
    /// Whether telephone numbers keep their `+`.
    phone_plus: bool,
    /// Whether titles and generational suffixes of names are dropped.
    titles: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlusSuffix {
    Kept,
    OfGmail,
    OfAll,
}

/// Google (Data Manager, Ads).
pub const GOOGLE: Rules = Rules { gmail_dots: true, plus_suffix: PlusSuffix::OfGmail, phone_plus: true, titles: true };
/// Meta.
pub const META: Rules = Rules { gmail_dots: false, plus_suffix: PlusSuffix::Kept, phone_plus: false, titles: false };
/// TikTok.
pub const TIKTOK: Rules = Rules { gmail_dots: false, plus_suffix: PlusSuffix::OfAll, phone_plus: false, titles: false };
/// LinkedIn, which takes no telephone numbers.
pub const LINKEDIN: Rules =
    Rules { gmail_dots: false, plus_suffix: PlusSuffix::Kept, phone_plus: false, titles: false };

const GMAIL: [&str; 2] = ["gmail.com", "googlemail.com"];
/// Google asks for names without prefixes and suffixes, and names these kinds of them.
const PREFIXES: [&str; 6] = ["mr", "mrs", "ms", "miss", "dr", "prof"];
const SUFFIXES: [&str; 5] = ["jr", "sr", "ii", "iii", "iv"];

impl Rules {
    /// An e-mail address.
    ///
    /// # Errors
    /// `INVALID_EMAIL`.
    pub fn email(&self, text: &str) -> Result<String, Reason> {
        let gapless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        // Google drops white space wherever it stands; for the others it is no address.
        let text = if self.gmail_dots { gapless.as_str() } else { text };
        let address = checked("INVALID_EMAIL", contact::email(text))?;
        let Some((local, domain)) = address.rsplit_once('@') else { return Ok(address) };
        let gmail = GMAIL.contains(&domain);
        let cut = match self.plus_suffix {
            PlusSuffix::Kept => false,
            PlusSuffix::OfGmail => gmail,
            PlusSuffix::OfAll => true,
        };
        let kept = if cut { local.split('+').next().unwrap_or(local) } else { local };
        let kept = if gmail && self.gmail_dots { kept.replace('.', "") } else { kept.to_owned() };
        if kept.is_empty() {
            return Err(Reason::new("INVALID_EMAIL", "nothing is left of the address in the vendor's form"));
        }
        Ok(format!("{kept}@{domain}"))
    }

    /// A telephone number, which has to be international.
    ///
    /// # Errors
    /// `INVALID_PHONE`.
    pub fn phone(&self, text: &str) -> Result<String, Reason> {
        let number = checked("INVALID_PHONE", contact::phone(text))?;
        Ok(if self.phone_plus { number } else { number.trim_start_matches('+').to_owned() })
    }

    /// A given or family name: in lower case, without punctuation.
    pub fn name(&self, text: &str) -> String {
        let bare: String = text.chars().filter(|c| !is_punctuation(*c)).flat_map(char::to_lowercase).collect();
        let mut words: Vec<&str> = bare.split_whitespace().collect();
        while self.titles && words.len() > 1 && PREFIXES.contains(&words[0]) {
            words.remove(0);
        }
        while self.titles && words.len() > 1 && words.last().is_some_and(|last| SUFFIXES.contains(last)) {
            words.pop();
        }
        words.join(" ")
    }
}

/// A city or the like: in lower case, without punctuation and white space.
pub fn compact(text: &str) -> String {
    text.chars().filter(|c| !is_punctuation(*c) && !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// A country code in capitals.
///
/// # Errors
/// `INVALID_COUNTRY`.
pub fn country(text: &str) -> Result<String, Reason> {
    checked("INVALID_COUNTRY", super::place::country(text))
}

/// A value as it goes to a vendor that wants SHA-256 of `normalise`'s form in lower-case hexadecimal digits; `None`
/// where nothing is left of it. With `hashed` the sync declares that the value is such a hash already.
///
/// # Errors
/// Those of `normalise`; `ALREADY_HASHED` for a hash that nobody declared, which would be hashed twice; `INVALID_HASH` for what
/// was declared to be one and is not.
pub fn sha256(
    text: &str,
    hashed: bool,
    normalise: impl FnOnce(&str) -> Result<String, Reason>,
) -> Result<Option<String>, Reason> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match (hashed, contact::is_hash(text)) {
        (true, true) => return Ok(Some(text.to_ascii_lowercase())),
        (true, false) => return Err(Reason::new("INVALID_HASH", "not a SHA-256 in 64 hexadecimal digits")),
        (false, true) => {
            let why = "it looks like a hash, and the sync does not declare it as one: it would be hashed twice";
            return Err(Reason::new("ALREADY_HASHED", why));
        }
        (false, false) => {}
    }
    let normal = normalise(text)?;
    Ok((!normal.is_empty()).then(|| hex(digest(&SHA256, normal.as_bytes()).as_ref())))
}

fn checked(code: &str, result: Result<String, Refusal>) -> Result<String, Reason> {
    result.map_err(|why| Reason::new(code, why))
}

/// ASCII's punctuation, and the dashes, quotes and dots that people type. Letters of all scripts and their marks stay.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}' | '\u{ab}' | '\u{b4}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}' | '\u{3002}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendors' examples, and values computed with SHA-256 over the normal form.
    #[test]
    fn vectors() {
        let john = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
        let ann = "65d8566e003849c63b2f1b7fbb53ef228d0a8e855acb982ad1a50e89ab43517b";
        for (given, rules, normal, hash) in [
            (" John_Smith@gmail.com ", META, "john_smith@gmail.com", john),
            (
                "Ann.Lee+Shop@Gmail.com",
                GOOGLE,
                "annlee@gmail.com",
                "16e202bdcd9646af11faa3a5a3b9c07a6303e9629583246f8208e43c529087de",
            ),
            ("Ann.Lee+Shop@example.com", GOOGLE, "ann.lee+shop@example.com", ann),
            ("Ann.Lee+Shop@example.com", META, "ann.lee+shop@example.com", ann),
            ("Ann.Lee+Shop@example.com", LINKEDIN, "ann.lee+shop@example.com", ann),
            (
                "Ann.Lee+Shop@example.com",
                TIKTOK,
                "ann.lee@example.com",
                "b7e0d8372a47f54bbefeb251ab9ac1e9e6b2d1983263de10196101be3961ed23",
            ),
        ] {
            assert_eq!(rules.email(given).as_deref(), Ok(normal), "{given}");
            assert_eq!(sha256(given, false, |text| rules.email(text)), Ok(Some(hash.into())), "{given}");
        }
        let bare = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176";
        let plus = "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8";
        for (rules, normal, hash) in
            [(META, "16505551212", bare), (TIKTOK, "16505551212", bare), (GOOGLE, "+16505551212", plus)]
        {
            assert_eq!(rules.phone("+1 (650) 555-1212").as_deref(), Ok(normal));
            assert_eq!(sha256("+1 (650) 555-1212", false, |text| rules.phone(text)), Ok(Some(hash.into())));
        }
        let mary = "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec";
        for (given, rules, hash) in [
            ("Mary", META, mary),
            ("Mary", GOOGLE, mary),
            ("Mrs. Mary", GOOGLE, mary),
            ("Valéry", META, "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
            ("정", META, "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ] {
            assert_eq!(sha256(given, false, |text| Ok(rules.name(text))), Ok(Some(hash.into())), "{given}");
        }
        let de = "959a45d44e6fcf58361ed004681556fe50129f2109e817dec098c00c9e5d2578";
        assert_eq!(sha256("DE", false, |text| country(text).map(|c| c.to_lowercase())), Ok(Some(de.into())));
        let berlin = "ac7bb74de6884ffce919c15fef4193749d4588026c643973946713ac46da540d";
        assert_eq!(sha256(" 10 115", false, |text| Ok(compact(text))), Ok(Some(berlin.into())));
    }

    #[test]
    fn names_lose_punctuation_and_where_asked_titles() {
        assert_eq!(META.name(" O’Neil-Smith, Jr. "), "oneilsmith jr");
        assert_eq!(GOOGLE.name(" O’Neil-Smith, Jr. "), "oneilsmith");
        assert_eq!(GOOGLE.name("Dr. Prof. Ann"), "ann");
        assert_eq!(GOOGLE.name("Dr"), "dr", "a name is not emptied");
        assert_eq!(META.name("Jose\u{301}"), "jose\u{301}", "a mark belongs to its letter");
    }

    #[test]
    fn nothing_is_hashed_twice() {
        let hash = "A".repeat(64);
        let code = |result: Result<Option<String>, Reason>| result.map_err(|reason| reason.code);
        let name = |text: &str| Ok(META.name(text));
        assert_eq!(code(sha256(&hash, false, name)), Err("ALREADY_HASHED".into()));
        assert_eq!(code(sha256(&hash, true, name)), Ok(Some("a".repeat(64))));
        assert_eq!(code(sha256("mary", true, name)), Err("INVALID_HASH".into()));
        assert_eq!(code(sha256(" ", true, name)), Ok(None));
        assert_eq!(code(sha256("...", false, name)), Ok(None));
    }

    #[test]
    fn what_is_no_address_stays_none() {
        for rules in [GOOGLE, META, TIKTOK, LINKEDIN] {
            for bad in ["", "ann", "ann@localhost"] {
                assert!(rules.email(bad).is_err(), "{bad}");
            }
        }
        assert_eq!(META.email("+@gmail.com").as_deref(), Ok("+@gmail.com"));
        assert!(GOOGLE.email("+@gmail.com").is_err(), "nothing is left of it");
        assert_eq!(GOOGLE.email("an n@gmail.com").as_deref(), Ok("ann@gmail.com"));
        assert!(META.email("an n@gmail.com").is_err());
    }
}
