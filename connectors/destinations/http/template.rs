//! Templates of URLs and bodies: compiled when the project is loaded, pure, and with every value escaped
//! for the place where it stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use backhaul_kit::{Address, Batch, ChangeKind, FieldRef, FieldValue, Operation, Reason, Row, Run, key};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, context, escape_formatter};

/// How `{{ … }}` is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As one part of a URL: percent-encoded, and never empty.
    Url,
    /// As a value of `application/x-www-form-urlencoded`.
    Form,
    /// As a JSON value, quotes included.
    Json,
    /// As text of XML.
    Xml,
    /// Not at all.
    Plain,
}

impl Escape {
    /// What fits a body of that content type.
    pub(super) fn of_content_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/xml" | "text/xml" => Self::Xml,
            json if json == "application/json" || json.ends_with("+json") => Self::Json,
            xml if xml.ends_with("+xml") => Self::Xml,
            _ => Self::Plain,
        }
    }
}

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    /// The variables it reads (`key`, `fields` …).
    variables: Vec<String>,
}

const NAME: &str = "template";

impl Template {
    /// Compiles `text`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and in which line.
    pub(super) fn compile(text: &str, escape: Escape) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Json => AutoEscape::Json,
            Escape::Xml => AutoEscape::Html,
            Escape::Url | Escape::Form | Escape::Plain => AutoEscape::None,
        });
        match escape {
            Escape::Url => environment.set_formatter(|out, _, value| write_percent(out, value, true)),
            Escape::Form => environment.set_formatter(|out, _, value| write_percent(out, value, false)),
            Escape::Json | Escape::Xml | Escape::Plain => environment.set_formatter(escape_formatter),
        }
        environment.add_template_owned(NAME, text.to_owned()).map_err(|e| sentence(&e))?;
        let variables = environment.get_template(NAME).map_err(|e| sentence(&e))?.undeclared_variables(false);
        Ok(Self { environment, variables: variables.into_iter().collect() })
    }

    /// Whether it reads that variable.
    pub(super) fn reads(&self, variable: &str) -> bool {
        self.variables.iter().any(|v| v == variable)
    }

    /// Whether it reads any variable.
    pub(super) fn reads_any(&self) -> bool {
        !self.variables.is_empty()
    }

    /// The variables it reads that are not among `known`.
    pub(super) fn foreign(&self, known: &[&str]) -> Vec<&str> {
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let mut foreign: Vec<&str> =
            self.variables.iter().map(String::as_str).filter(|v| !known.contains(v) && !globals.contains(v)).collect();
        foreign.sort_unstable();
        foreign
    }

    /// Renders it with a made-up row, to find what compiling does not.
    ///
    /// # Errors
    /// A sentence, where it uses a filter, test, function or method that does not exist. What fails for
    /// another reason may do well with real values: that is `None`.
    pub(super) fn try_out(&self, sample: &Value) -> Result<Option<String>, String> {
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(sample));
        rendered.map(Some).or_else(|error| match error.kind() {
            ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod => Err(sentence(&error)),
            _ => Ok(None),
        })
    }

    /// Renders it.
    ///
    /// # Errors
    /// A reason to reject the row: a value that is missing, a filter that does not fit.
    pub(super) fn render(&self, context: &Value) -> Result<String, Reason> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| Reason::new("TEMPLATE", sentence(&error)))
    }
}

/// What went wrong, without values of the row.
fn sentence(error: &Error) -> String {
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        let _ = write!(text, ": {detail}");
    }
    if let Some(line) = error.line() {
        let _ = write!(text, " (line {line} of the template)");
    }
    text
}

/// Everything but the unreserved characters of RFC 3986 is encoded, so that a value cannot leave its part.
fn write_percent(out: &mut Output<'_>, value: &Value, required: bool) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let text = if value.is_none() { String::new() } else { value.to_string() };
    if required && text.is_empty() {
        // `/customers/` is another resource than `/customers/{id}`.
        return Err(Error::new(ErrorKind::InvalidOperation, "an empty value in a URL"));
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.write_char(char::from(byte))?;
        } else {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Variables of a call with one row.
pub(super) const ROW_VARIABLES: &[&str] =
    &["key", "keys", "fields", "remote_id", "match_value", "change", "operation", "run", "sync"];
/// Variables of a call with several rows; each of `rows` has `key`, `keys`, `fields`, `remote_id`,
/// `match_value` and `change`.
pub(super) const BATCH_VARIABLES: &[&str] = &["rows", "operation", "run", "sync"];

/// Gives rows to templates.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The targets of the sync's fields.
    pub(super) fields: Vec<String>,
    /// The model's key columns.
    pub(super) key: Vec<String>,
}

impl Names {
    /// The variables of one row. What is not known is absent, so that a template that needs it fails.
    fn row(&self, row: &Row) -> BTreeMap<&'static str, Value> {
        let mut variables = BTreeMap::new();
        variables.insert("key", Value::from(key::display(&row.key)));
        let parts = key::decode(&row.key).unwrap_or_default();
        let keys = self.key.iter().map(String::as_str).zip(parts.iter().map(backhaul_kit::Value::to_text));
        variables.insert("keys", Value::from_pairs(keys));
        let fields = self.fields.iter().zip(row.fields.iter()).filter_map(|(name, field)| match field {
            FieldRef::Skip => None,
            FieldRef::Clear => Some((name.as_str(), Value::from(()))),
            FieldRef::Set(value) => Some((name.as_str(), Value::from(Serde(value.to_json())))),
        });
        variables.insert("fields", Value::from_pairs(fields));
        for (name, part) in [("remote_id", &row.address.remote_id), ("match_value", &row.address.match_value)] {
            if let Some(part) = part {
                variables.insert(name, Value::from(part.as_str()));
            }
        }
        variables.insert("change", Value::from(row.change.as_str()));
        variables
    }

    /// The context of a call whose templates read no row.
    pub(super) fn of_call(run: &Run, batch: &Batch) -> Value {
        context! { operation => batch.operation.as_str(), run => run.id.as_str(), sync => run.sync.as_str() }
    }

    /// The context of a call with one row.
    pub(super) fn of_row(&self, run: &Run, batch: &Batch, row: &Row) -> Value {
        let mut variables = self.row(row);
        for (name, value) in [("operation", batch.operation.as_str()), ("run", &run.id), ("sync", &run.sync)] {
            variables.insert(name, Value::from(value));
        }
        Value::from_pairs(variables)
    }

    /// The context of a call with several rows.
    pub(super) fn of_batch(&self, run: &Run, batch: &Batch) -> Value {
        let rows: Vec<Value> = batch.rows.iter().map(|row| Value::from_pairs(self.row(row))).collect();
        context! { rows => rows, operation => batch.operation.as_str(), run => run.id.as_str(), sync => run.sync.as_str() }
    }

    /// A context of made-up rows, in which every variable is there.
    pub(super) fn sample(&self, batch_size: usize) -> Value {
        let text = || backhaul_kit::Value::Text("sample".into());
        let parts: Vec<backhaul_kit::Value> = self.key.iter().map(|_| text()).collect();
        let row = |op| Row {
            op,
            change: ChangeKind::Add,
            key: key::encode(&parts.iter().collect::<Vec<_>>()).unwrap_or_default().into(),
            fingerprint: 0,
            address: Address { remote_id: Some("sample".into()), match_value: Some("sample".into()) },
            fields: self.fields.iter().map(|_| FieldValue::Set(text())).collect(),
        };
        let run = Run { id: "sample".into(), sync: "sample".into(), rows: 2, started: jiff::Timestamp::UNIX_EPOCH };
        let batch = Batch { operation: Operation::Upsert, seq: 0, last: true, rows: vec![row(0), row(1)] };
        if batch_size == 1 { self.of_row(&run, &batch, &batch.rows[0]) } else { self.of_batch(&run, &batch) }
    }
}
