//! E-mail addresses and telephone numbers.

use email_address::{EmailAddress, Options};

use super::Refusal;

/// E.164 allows fifteen digits, country code included; shorter than eight is no subscriber anywhere.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
const SHA256_HEX: usize = 64;

/// An address, trimmed, in lower case, of valid syntax with a dotted domain.
///
/// # Errors
/// What is wrong with it.
pub fn email(text: &str) -> Result<String, Refusal> {
    let address = text.trim().to_lowercase();
    refuse_hash(&address, "address")?;
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    match EmailAddress::parse_with_options(&address, options) {
        Ok(_) => Ok(address),
        Err(error) => Err(format!("not an e-mail address: {}", lower_first(&error.to_string())).into()),
    }
}

/// A number with its country code in E.164: `+` and 8 to 15 digits; separators are dropped.
///
/// # Errors
/// What is wrong with it.
pub fn phone(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    refuse_hash(text, "number")?;
    let Some(rest) = text.strip_prefix('+') else {
        return Err("not international: it must start with + and the country code, as +49 30 1234567".into());
    };
    if rest.contains("(0)") {
        return Err("\"(0)\" is dialled only inside the country: leave it out".into());
    }
    let number = format!("+{}", digits(rest)?);
    let digits = number.len() - 1;
    if !PHONE_DIGITS.contains(&digits) {
        return Err(format!("it has {digits} digits; an international number has 8 to 15").into());
    }
    if number.starts_with("+0") {
        return Err("no country code starts with 0".into());
    }
    Ok(number)
}

/// The digits of a number, without what separates them.
///
/// # Errors
/// Something else stands between them.
pub fn digits(text: &str) -> Result<String, Refusal> {
    let mut digits = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2013}' => {}
            c if c.is_whitespace() => {}
            _ => return Err("it holds something that is neither a digit nor a separator".into()),
        }
    }
    Ok(digits)
}

/// Refuses a hash in place of `what`.
///
/// # Errors
/// What looks like one.
pub fn refuse_hash(text: &str, what: &str) -> Result<(), Refusal> {
    if is_hash(text) {
        let why = format!("it looks like a hash; give the {what} itself, hashing is done on the way to the vendor");
        return Err(why.into());
    }
    Ok(())
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == SHA256_HEX && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn lower_first(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_in_lower_case() {
        for (given, expected) in [
            (" John_Smith@Gmail.com ", "john_smith@gmail.com"),
            ("Ann.Lee+Shop@example.com", "ann.lee+shop@example.com"),
            ("müller@BÜCHER.de", "müller@bücher.de"),
        ] {
            assert_eq!(email(given), Ok(expected.into()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "ann",
            "ann@",
            "@example.com",
            "ann@localhost",
            "a b@example.com",
            "Ann <ann@example.com>",
            "a@b@example.com",
            "ann@exa mple.com",
            "ann..lee@example.com",
            "ann@[127.0.0.1]",
            &long,
        ] {
            assert!(email(bad).is_err(), "{bad}");
        }
        assert!(email(&"a1".repeat(32)).unwrap_err().contains("hash"));
    }

    #[test]
    fn numbers_become_e164() {
        for given in ["+1 (650) 555-1212", "+1.650.555.1212", " +16505551212 ", "+1/650\u{a0}555\u{2011}1212"] {
            assert_eq!(phone(given), Ok("+16505551212".into()), "{given}");
        }
    }

    #[test]
    fn a_number_without_its_country_is_refused_with_the_way_out() {
        assert!(phone("030 1234567").unwrap_err().contains("+49"));
        for bad in [
            "0049301234567",
            "+49 (0)30 1234567",
            "+1234567",
            "+1234567890123456",
            "+49 30 CALL-ME",
            "+0301234567",
            "++49301234567",
        ] {
            assert!(phone(bad).is_err(), "{bad}");
        }
    }
}
