//! Templates of fields: minijinja over one row's columns. Pure: no clock, no random numbers, no files;
//! every name that a template does not define itself is a column.

use std::ops::Range;

use backhaul_kit::Value;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, escape_formatter};

const NAME: &str = "field";

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// What is wrong, as a sentence without a full stop.
    pub(crate) message: String,
    /// The line of the template, from 1, where known.
    pub(crate) line: Option<usize>,
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Box<Environment<'static>>,
}

impl Template {
    /// Compiles `text` and checks that every filter and test it names exists.
    pub(crate) fn compile(text: &str) -> Result<Self, TemplateError> {
        let mut environment = environment();
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| TemplateError {
            message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            line: error.line(),
        })?;
        for Used { name, kind, line } in used(text) {
            let (probe, unknown, word) = match kind {
                UsedKind::Filter => (format!("{{{{ none|{name} }}}}"), ErrorKind::UnknownFilter, "filter"),
                UsedKind::Test => (format!("{{{{ none is {name} }}}}"), ErrorKind::UnknownTest, "test"),
            };
            if environment.render_str(&probe, ()).is_err_and(|error| error.kind() == unknown) {
                return Err(TemplateError { message: format!("there is no {word} `{name}`"), line: Some(line) });
            }
        }
        Ok(Self { environment: Box::new(environment) })
    }

    /// The columns that the template reads, sorted.
    pub(crate) fn columns(&self) -> Vec<String> {
        let Ok(template) = self.environment.get_template(NAME) else { return Vec::new() };
        let mut columns: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        columns.sort_unstable();
        columns
    }

    /// Renders one row.
    ///
    /// # Errors
    /// What went wrong; the text may quote values.
    pub(crate) fn render<'a>(&self, row: impl Iterator<Item = (&'a str, &'a Value)>) -> Result<String, String> {
        let context = minijinja::Value::from_pairs(row.map(|(name, value)| (name.to_owned(), to_template(value))));
        let template = self.environment.get_template(NAME).map_err(|error| error.to_string())?;
        template.render(context).map_err(|error| {
            error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
        })
    }
}

/// NULL prints as nothing, and `default` replaces it.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    for global in ["range", "dict", "debug", "namespace"] {
        environment.remove_global(global);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(
        |out, state, value| {
            if value.is_none() { Ok(()) } else { escape_formatter(out, state, value) }
        },
    );
    for name in ["default", "d"] {
        environment.add_filter(name, |value: minijinja::Value, other: Option<minijinja::Value>| {
            if value.is_none() || value.is_undefined() { other.unwrap_or_default() } else { value }
        });
    }
    environment
}

/// Numbers that a double would round stay text, digit for digit.
fn to_template(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(b) => minijinja::Value::from(*b),
        Value::Int(n) => minijinja::Value::from(*n),
        Value::Float(f) => minijinja::Value::from(*f),
        Value::Json(text) => serde_json::from_str::<serde_json::Value>(text)
            .map_or_else(|_| minijinja::Value::from(text.as_str()), from_json),
        Value::Array(items) => items.iter().map(to_template).collect(),
        other => minijinja::Value::from(other.to_text()),
    }
}

fn from_json(json: serde_json::Value) -> minijinja::Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => minijinja::Value::from(()),
        Json::Bool(b) => minijinja::Value::from(b),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => minijinja::Value::from(n),
            (_, Some(n), _) => minijinja::Value::from(n),
            (_, _, Some(n)) => minijinja::Value::from(n),
            _ => minijinja::Value::from(n.to_string()),
        },
        Json::String(text) => minijinja::Value::from(text),
        Json::Array(items) => items.into_iter().map(from_json).collect(),
        Json::Object(members) => {
            minijinja::Value::from_pairs(members.into_iter().map(|(name, value)| (name, from_json(value))))
        }
    }
}

/// A filter or test that a template names.
struct Used<'a> {
    name: &'a str,
    kind: UsedKind,
    line: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum UsedKind {
    Filter,
    Test,
}

/// minijinja looks filters and tests up only when it comes to them; this finds them all beforehand.
fn used(text: &str) -> Vec<Used<'_>> {
    let mut found = Vec::new();
    for code in code_blocks(text) {
        let mut expected = None;
        let mut first_word = true;
        for token in tokens(&text[code.clone()]) {
            let at = code.start + token.start;
            let word = &text[at..code.start + token.end];
            let kind = match (expected.take(), word) {
                (_, "|") => {
                    expected = Some(UsedKind::Filter);
                    continue;
                }
                (_, "is") | (Some(UsedKind::Test), "not") => {
                    expected = Some(UsedKind::Test);
                    continue;
                }
                (None, "filter") if first_word => {
                    expected = Some(UsedKind::Filter);
                    continue;
                }
                (kind, _) => kind,
            };
            first_word = false;
            if let Some(kind) = kind
                && word.starts_with(|c: char| c.is_alphabetic() || c == '_')
            {
                found.push(Used { name: word, kind, line: text[..at].matches('\n').count() + 1 });
            }
        }
    }
    found
}

/// The insides of `{{ … }}` and `{% … %}`, comments and raw blocks left out. The template has compiled, so
/// blocks are closed.
fn code_blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let close = match text.as_bytes().get(open + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => {
                at = text[open..].find("#}").map_or(text.len(), |i| open + i + 2);
                continue;
            }
            _ => {
                at = open + 1;
                continue;
            }
        };
        let start = open + 2;
        let end = end_of_block(text, start, close);
        let inside = text[start..end].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        at = (end + 2).min(text.len());
        if close == "%}" && inside == "raw" {
            at = text[at..].find("endraw").map_or(text.len(), |i| at + i);
            continue;
        }
        blocks.push(start..end);
    }
    blocks
}

/// Where `close` stands outside of strings.
fn end_of_block(text: &str, start: usize, close: &str) -> usize {
    let mut quote = None;
    let mut chars = text[start..].char_indices();
    while let Some((i, c)) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[start + i..].starts_with(close) => return start + i,
            Some(_) | None => {}
        }
    }
    text.len()
}

/// Words and single signs outside of strings.
fn tokens(code: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut chars = code.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if c == '"' || c == '\'' {
            while let Some((_, inner)) = chars.next() {
                if inner == '\\' {
                    chars.next();
                } else if inner == c {
                    break;
                }
            }
            // A string is a token too: what follows it is not the start of the block.
            tokens.push(start..start + 1);
        } else if c.is_alphanumeric() || c == '_' {
            let mut end = start + c.len_utf8();
            while let Some((i, next)) = chars.peek().copied() {
                if !(next.is_alphanumeric() || next == '_') {
                    break;
                }
                end = i + next.len_utf8();
                chars.next();
            }
            tokens.push(start..end);
        } else if !c.is_whitespace() && c != '-' && c != '+' {
            tokens.push(start..start + c.len_utf8());
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, row: &[(&str, Value)]) -> String {
        Template::compile(text).unwrap().render(row.iter().map(|(name, value)| (*name, value))).unwrap()
    }

    fn refused(text: &str) -> String {
        Template::compile(text).unwrap_err().message
    }

    #[test]
    fn null_prints_as_nothing_and_default_replaces_it() {
        let row = [("name", Value::Null)];
        assert_eq!(render("Hello {{ name }}!", &row), "Hello !");
        assert_eq!(render("Hello {{ name | default('friend') }}!", &row), "Hello friend!");
        assert_eq!(render("{% if name is none %}-{% endif %}", &row), "-");
    }

    #[test]
    fn big_numbers_and_decimals_keep_every_digit() {
        let row = [("id", Value::Int(i64::MAX)), ("price", Value::Decimal("12345678901234567890.50".into()))];
        assert_eq!(render("{{ id }} {{ price }}", &row), "9223372036854775807 12345678901234567890.50");
    }

    #[test]
    fn documents_and_lists_can_be_read() {
        let row = [
            ("doc", Value::Json(r#"{"a":[1,2]}"#.into())),
            ("tags", Value::Array(vec![Value::Text("x".into()), Value::Text("y".into())])),
        ];
        assert_eq!(render("{{ doc.a[1] }} {{ tags | join(',') }}", &row), "2 x,y");
    }

    #[test]
    fn html_is_not_escaped() {
        assert_eq!(render("{{ a }}", &[("a", Value::Text("<b>&".into()))]), "<b>&");
    }

    #[test]
    fn columns_are_what_the_template_does_not_define() {
        let template =
            Template::compile("{% set x = b %}{{ x }}{% for t in tags %}{{ t ~ a }}{% endfor %}{{ now() }}").unwrap();
        assert_eq!(template.columns(), ["a", "b", "now", "tags"]);
    }

    #[test]
    fn unknown_filters_and_tests_are_found_in_branches_that_are_never_taken() {
        assert_eq!(refused("{% if false %}{{ a|uper }}{% endif %}"), "there is no filter `uper`");
        assert_eq!(refused("{{ a is not nul }}"), "there is no test `nul`");
        assert_eq!(refused("{% filter shout %}x{% endfilter %}"), "there is no filter `shout`");
        assert_eq!(refused("{{ 'a' | lower | random }}"), "there is no filter `random`");
    }

    #[test]
    fn what_only_looks_like_a_filter_is_text() {
        for text in
            ["a|uper {# {{ a|uper }} #}", "{{ 'is nul | uper }}' }}", "{% raw %}{{ a|uper }}{% endraw %}", "{{ this }}"]
        {
            Template::compile(text).unwrap();
        }
    }

    #[test]
    fn a_broken_template_says_where() {
        let error = Template::compile("a\n{{ b").unwrap_err();
        assert_eq!(error.line, Some(2));
        assert!(!error.message.is_empty());
        assert!(Template::compile("{% include 'x' %}").is_err());
    }
}
