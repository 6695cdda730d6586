//! People's data in output: enough to recognise one's own record, too little to learn it.

use std::borrow::Cow;

/// Dots that stand for any number of characters: the length tells something, too.
const SHORT: &str = "••";
const LONG: &str = "••••";

/// Masks one value: `anna@example.com` → `a••@e••••.com`, `Anna Berg` → `A••••`. Texts of one or two characters
/// show nothing.
pub fn mask(text: &str) -> String {
    if let Some((local, domain)) = text.rsplit_once('@')
        && let (Some(first), Some(host)) = (local.chars().next(), domain.chars().next())
        && let Some((_, top)) = domain.rsplit_once('.')
        && !top.is_empty()
        && top.len() <= 12
        && top.chars().all(char::is_alphanumeric)
    {
        return format!("{first}{SHORT}@{host}{LONG}.{top}");
    }
    let mut chars = text.chars();
    match (chars.next(), chars.nth(1)) {
        (Some(first), Some(_)) if !first.is_control() => format!("{first}{LONG}"),
        (None, _) => String::new(),
        _ => LONG.to_owned(),
    }
}

/// Masks a key as [`backhaul_kit::key::display`] writes it, part by part.
pub fn mask_key(key: &str) -> String {
    key.split(',').map(mask).collect::<Vec<_>>().join(",")
}

/// Masks what looks like a value in a vendor's sentence: quoted text, words with an `@`, words with three digits
/// or more. Control characters become spaces.
pub fn mask_sentence(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quoted = match first {
            '"' | '\'' | '`' => rest[1..].find(first).map(|end| &rest[1..=end]),
            _ => None,
        };
        if let Some(inner) = quoted {
            out.push(first);
            out.push_str(&mask(inner));
            out.push(first);
            rest = &rest[inner.len() + 2..];
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>".contains(c)).unwrap_or(rest.len());
        if end == 0 {
            out.push(if first.is_control() { ' ' } else { first });
            rest = &rest[first.len_utf8()..];
            continue;
        }
        out.push_str(&mask_word(&rest[..end]));
        rest = &rest[end..];
    }
    out
}

fn mask_word(word: &str) -> Cow<'_, str> {
    let core = word.trim_end_matches(['.', ':', '!', '?']);
    if core.contains('@') || core.chars().filter(char::is_ascii_digit).count() >= 3 {
        return Cow::Owned(format!("{}{}", mask(core), &word[core.len()..]));
    }
    Cow::Borrowed(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_names_keep_their_first_letters() {
        let masked: Vec<String> = [
            "anna@example.com",
            "a@b.de",
            "Anna Berg",
            "李小龙",
            "4711",
            "ab",
            "",
            "@example.com",
            "anna@localhost",
            "x@y.a very long tail that is no domain",
            "\u{1b}[31mred",
        ]
        .into_iter()
        .map(mask)
        .collect();
        assert_eq!(
            masked,
            [
                "a••@e••••.com",
                "a••@b••••.de",
                "A••••",
                "李••••",
                "4••••",
                "••••",
                "",
                "@••••",
                "a••••",
                "x••••",
                "••••"
            ]
        );
        assert_eq!(mask_key("4711,anna@example.com"), "4••••,a••@e••••.com");
    }

    #[test]
    fn sentences_keep_their_words_and_lose_their_values() {
        let text = "Property \"email\": anna@example.com is invalid (code 12), got '+49 170 1234567'; id 4711.\n";
        assert_eq!(
            mask_sentence(text),
            "Property \"e••••\": a••@e••••.com is invalid (code 12), got '+••••'; id 4••••. "
        );
        assert_eq!(mask_sentence("don't do that"), "don't do that");
    }

    proptest! {
        #[test]
        fn a_masked_value_is_short_and_clean(text: String) {
            let masked = mask(&text);
            prop_assert!(masked.chars().count() <= 22);
            prop_assert!(!masked.chars().any(char::is_control));
            prop_assert!(!mask_sentence(&text).chars().any(char::is_control));
        }
    }
}
