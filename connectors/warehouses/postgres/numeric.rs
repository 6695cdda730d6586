//! `numeric` on the wire: number of digits, weight, sign, scale, then digits to the base of 10,000.

/// The base of the digits.
const BASE: i64 = 10_000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// A number as it came, not yet made into text.
pub(super) struct Numeric<'a> {
    /// Base-10,000 exponent of the first digit.
    weight: i16,
    sign: u16,
    /// Decimal digits after the point.
    scale: u16,
    digits: &'a [u8],
}

impl<'a> Numeric<'a> {
    /// Reads the wire form; `None` when it is not one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let word = |at: usize| [head[at], head[at + 1]];
        let count = usize::from(u16::from_be_bytes(word(0)));
        let number = Self {
            weight: i16::from_be_bytes(word(2)),
            sign: u16::from_be_bytes(word(4)),
            scale: u16::from_be_bytes(word(6)),
            digits,
        };
        let known = matches!(number.sign, 0 | NEGATIVE | NAN | INFINITY | NEGATIVE_INFINITY);
        let in_base = (0..count).all(|i| number.digit(i) < BASE);
        (known && digits.len() == count * 2 && in_base).then_some(number)
    }

    /// What the number is when it is none.
    pub(super) fn special(&self) -> Option<&'static str> {
        match self.sign {
            NAN => Some("NaN"),
            INFINITY => Some("Infinity"),
            NEGATIVE_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }

    /// The number, where it is whole and fits.
    pub(super) fn whole(&self) -> Option<i64> {
        if self.special().is_some() || self.digits.len() / 2 > usize::try_from(self.weight).map_or(0, |w| w + 1) {
            return None;
        }
        let mut n: i64 = 0;
        for place in 0..=self.weight.max(-1) {
            n = n.checked_mul(BASE)?.checked_sub(self.digit(usize::try_from(place).ok()?))?;
        }
        if self.sign == NEGATIVE { Some(n) } else { n.checked_neg() }
    }

    /// Appends the number in plain notation with all digits of its scale, as PostgreSQL prints it.
    pub(super) fn write(&self, out: &mut String) {
        use std::fmt::Write as _;
        if self.sign == NEGATIVE {
            out.push('-');
        }
        if self.weight < 0 {
            out.push('0');
        }
        for place in 0..=i32::from(self.weight) {
            let digit = self.digit_at(place);
            // Writing into a String cannot fail.
            let _ = if place == 0 { write!(out, "{digit}") } else { write!(out, "{digit:04}") };
        }
        if self.scale == 0 {
            return;
        }
        out.push('.');
        let end = out.len() + usize::from(self.scale);
        let mut place = i32::from(self.weight) + 1;
        // Digits before the first stored one are zeros: a number below one has them after the point.
        for _ in 0..(-1 - i32::from(self.weight)).max(0) {
            if out.len() < end {
                out.push_str("0000");
            }
        }
        place = place.max(0);
        while out.len() < end {
            let _ = write!(out, "{:04}", self.digit_at(place));
            place += 1;
        }
        out.truncate(end);
    }

    fn digit_at(&self, place: i32) -> i64 {
        usize::try_from(place).map_or(0, |i| self.digit(i))
    }

    /// The digit at a place from the left; what is not stored is zero.
    fn digit(&self, i: usize) -> i64 {
        match self.digits.get(i * 2..i * 2 + 2) {
            Some(bytes) => i64::from(u16::from_be_bytes([bytes[0], bytes[1]])),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let mut out = u16::try_from(digits.len()).expect("few").to_be_bytes().to_vec();
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&scale.to_be_bytes());
        out.extend(digits.iter().flat_map(|d| d.to_be_bytes()));
        out
    }

    fn text(bytes: &[u8]) -> String {
        let mut out = String::new();
        Numeric::read(bytes).expect("a numeric").write(&mut out);
        out
    }

    #[test]
    fn numbers_are_written_as_the_server_prints_them() {
        assert_eq!(text(&wire(0, 0, 0, &[])), "0");
        assert_eq!(text(&wire(0, 0, 2, &[])), "0.00");
        assert_eq!(text(&wire(0, 0, 2, &[12, 5000])), "12.50");
        assert_eq!(text(&wire(1, NEGATIVE, 0, &[1])), "-10000");
        assert_eq!(text(&wire(-1, 0, 4, &[1])), "0.0001");
        assert_eq!(text(&wire(-2, 0, 7, &[1200])), "0.0000120");
        assert_eq!(text(&wire(1, NEGATIVE, 3, &[123, 4567, 8900])), "-1234567.890");
    }

    #[test]
    fn whole_numbers_are_known_without_text() {
        let whole = |bytes: &[u8]| Numeric::read(bytes).expect("a numeric").whole();
        assert_eq!(whole(&wire(0, 0, 0, &[])), Some(0));
        assert_eq!(whole(&wire(1, NEGATIVE, 2, &[1])), Some(-10_000));
        assert_eq!(whole(&wire(0, 0, 1, &[1, 5000])), None);
        assert_eq!(whole(&wire(-1, 0, 1, &[5000])), None);
        assert_eq!(whole(&wire(4, NEGATIVE, 0, &[922, 3372, 368, 5477, 5808])), Some(i64::MIN));
        assert_eq!(whole(&wire(4, 0, 0, &[922, 3372, 368, 5477, 5808])), None);
        assert_eq!(whole(&wire(0, NAN, 0, &[])), None);
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(Numeric::read(&wire(0, NAN, 0, &[])).and_then(|n| n.special()), Some("NaN"));
        assert!(Numeric::read(&wire(0, 1, 0, &[])).is_none());
        assert!(Numeric::read(&wire(0, 0, 0, &[10_000])).is_none());
        assert!(Numeric::read(&[0; 7]).is_none());
    }

    proptest! {
        #[test]
        fn integers_come_back(n: i64) {
            let (mut rest, mut digits) = (n.unsigned_abs(), Vec::new());
            while rest > 0 {
                digits.insert(0, u16::try_from(rest % 10_000).expect("below the base"));
                rest /= 10_000;
            }
            let weight = i16::try_from(digits.len()).expect("few") - 1;
            let bytes = wire(weight, if n < 0 { NEGATIVE } else { 0 }, 0, &digits);
            prop_assert_eq!(text(&bytes), if n == 0 { "0".to_owned() } else { n.to_string() });
            prop_assert_eq!(Numeric::read(&bytes).and_then(|n| n.whole()), Some(n));
        }
    }
}
