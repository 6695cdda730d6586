//! Telephone numbers as they are dialled inside of countries, in a build that knows them.

use backhaul_kit::normalise::Refusal;

/// Whether this build knows how numbers are dialled inside of countries: whether [`national`] reads them.
pub(crate) const READS_NATIONAL: bool = cfg!(feature = "phone");

/// A number as it is dialled in a country, in E.164. Metadata of a later version of the crate may know more numbers: then
/// [`Normaliser::VERSION`](super::Normaliser::VERSION) is to be raised.
///
/// # Errors
/// What is wrong with it.
#[cfg(feature = "phone")]
pub(super) fn national(text: &str, country: &str) -> Result<String, Refusal> {
    backhaul_kit::normalise::refuse_hash(text.trim(), "number")?;
    let place = id(country).ok_or("the row's country is no ISO 3166-1 alpha-2 code with telephone numbers")?;
    match phonenumber::parse(Some(place), backhaul_kit::normalise::digits(text)?) {
        Ok(number) if number.is_valid() => Ok(number.format().mode(phonenumber::Mode::E164).to_string()),
        _ => Err("there is no such number in its country".into()),
    }
}

/// Always refused: this build does not know how numbers are dialled inside of countries.
///
/// # Errors
/// Always.
#[cfg(not(feature = "phone"))]
pub(super) fn national(_: &str, _: &str) -> Result<String, Refusal> {
    Err("this build of backhaul does not know how numbers are dialled inside of countries".into())
}

/// Whether numbers of the country are known.
#[cfg(feature = "phone")]
pub(crate) fn knows_numbers_of(country: &str) -> bool {
    id(country).is_some()
}

/// Whether numbers of the country are known: here, whether there is such a country.
#[cfg(not(feature = "phone"))]
pub(crate) fn knows_numbers_of(country: &str) -> bool {
    backhaul_kit::normalise::country(country).is_ok()
}

#[cfg(feature = "phone")]
fn id(country: &str) -> Option<phonenumber::country::Id> {
    country.trim().to_ascii_uppercase().parse().ok()
}

#[cfg(all(test, feature = "phone"))]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_is_dialled_in_its_country() {
        for (given, country, expected) in [
            ("030 1234567", "DE", "+49301234567"),
            ("(0)30/1234567", " de ", "+49301234567"),
            ("00 49 30 1234567", "DE", "+49301234567"),
            ("(650) 555-1212", "US", "+16505551212"),
            ("1 650 555 1212", "US", "+16505551212"),
            ("011 49 30 1234567", "US", "+49301234567"),
            ("06 12 34 56 78", "FR", "+33612345678"),
            // In Italy the zero stays.
            ("06 12345678", "IT", "+390612345678"),
        ] {
            assert_eq!(national(given, country), Ok(expected.into()), "{given} in {country}");
        }
        let long = "0".repeat(10_000);
        for (bad, country) in [
            ("030 12", "DE"),
            ("1234567890", "US"),
            ("030 CALL-ME", "DE"),
            ("030 1234567", "XX"),
            ("030 1234567", "AQ"),
            ("030 1234567", "Germany"),
            ("0", "DE"),
            ("-", "DE"),
            (&long, "DE"),
            (&"a1".repeat(32), "DE"),
        ] {
            assert!(national(bad, country).is_err(), "{bad} in {country}");
        }
    }
}
