//! Countries.

use super::Refusal;

/// ISO 3166-1 alpha-2, officially assigned codes.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// An ISO 3166-1 alpha-2 code, in capitals.
///
/// # Errors
/// What is wrong with it.
pub fn country(text: &str) -> Result<String, Refusal> {
    let code = text.trim().to_ascii_uppercase();
    if code == "UK" {
        return Err("the ISO code of the United Kingdom is GB".into());
    }
    if code.len() != 2 {
        return Err("not a country code of two letters (ISO 3166-1 alpha-2)".into());
    }
    if COUNTRIES.split(' ').any(|known| known == code) {
        Ok(code)
    } else {
        Err("not an assigned ISO 3166-1 alpha-2 code".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assigned_codes_of_two_letters_pass_in_capitals() {
        assert_eq!(country(" de "), Ok("DE".into()));
        for bad in ["UK", "EU", "XX", "DEU", "Germany", "D", "ß"] {
            assert!(country(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_is_whole_and_sorted() {
        let codes: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(codes.len(), 249);
        assert!(codes.is_sorted());
        assert!(codes.iter().all(|c| c.len() == 2));
    }
}
