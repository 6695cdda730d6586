//! Is a text one statement, and does it keep inside our brackets?
//!
//! The driver runs one statement after the other of a text, so the wrapped model must be one statement whatever the
//! operator wrote. SQLite ends a statement only at a semicolon outside of literals and comments; this reads the
//! text by SQLite's own rules for these (`tokenize.c`): quotes double themselves inside, `[` reaches to `]`, `--` to
//! the line's end, `/*` to `*/`.

/// What is wrong with a text, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is wrong.
    pub(super) what: &'static str,
    /// The byte.
    pub(super) at: usize,
}

/// Checks that `sql` can stand between brackets as one piece.
pub(super) fn one_piece(sql: &str) -> Result<(), Refused> {
    let bytes = sql.as_bytes();
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at + 1..];
        at += match byte {
            b'\'' | b'"' | b'`' => 1 + closed(rest, byte, "a quote that is not closed", at)?,
            b'[' => 1 + closed(rest, b']', "a bracket `[` that is not closed", at)?,
            b'-' if rest.first() == Some(&b'-') => 1 + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
            b'/' if rest.first() == Some(&b'*') => match rest[1..].windows(2).position(|two| two == b"*/") {
                Some(end) => 1 + 1 + end + 2,
                None => return Err(Refused { what: "a comment that is not closed", at }),
            },
            b'(' => {
                open.push(at);
                1
            }
            b')' if open.pop().is_none() => return Err(Refused { what: "a bracket `)` that closes nothing", at }),
            b';' => return Err(Refused { what: "a semicolon: one SELECT is one statement", at }),
            _ => 1,
        };
    }
    match open.pop() {
        Some(at) => Err(Refused { what: "a bracket `(` that is not closed", at }),
        None => Ok(()),
    }
}

/// How many bytes there are up to and with the closing one.
fn closed(rest: &[u8], by: u8, what: &'static str, at: usize) -> Result<usize, Refused> {
    rest.iter().position(|b| *b == by).map(|end| end + 1).ok_or(Refused { what, at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_select_is_one_piece() {
        for sql in [
            "select 1",
            "select ';)' as a, \");\" , `;`, [;)] from t",
            "select 'it''s; ok'",
            "select 1 -- ; )",
            "select (1 + (2)) /* ; ) */ - 3",
            "select 1 - -2, '-- no comment'",
            "select '/*', 1",
        ] {
            assert_eq!(one_piece(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn what_leaves_our_brackets_is_refused_at_its_place() {
        for (sql, at) in [
            ("select 1; drop table t", 8),
            ("select 1) ; pragma query_only=0; select * from (select 1", 8),
            ("select (1", 7),
            ("select 'a", 7),
            ("select [a", 7),
            ("select 1 /* ", 9),
            ("select 1 -- x\n;", 14),
            ("select '' ;'", 10),
        ] {
            assert_eq!(one_piece(sql).map_err(|r| r.at), Err(at), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(sql in "[a'\"`\\[\\]();/*\n -]{0,40}") {
            let _ = one_piece(&sql);
        }
    }
}
