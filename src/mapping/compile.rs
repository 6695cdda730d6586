//! Binding a sync's fields to its model's columns.

use backhaul_kit::config::{Problem, Span, nearest};
use backhaul_kit::{Column, Nest, Schema, TypeClass};

use super::form::Form;
use super::{Mapper, Source, Step, settle};
use crate::config::{Check, CheckKind, Country, Field, FieldSource, ModelDef, Reference, Referred, SyncDef};
use crate::diff;
use crate::transform::{Normaliser, Template};

/// The columns that a sync reads, each once: its key's first, in the key's order, then those of the fields in
/// the fields' order.
pub fn columns(sync: &SyncDef) -> Vec<String> {
    let mut columns: Vec<String> = sync.model.key.iter().map(|(column, _)| column.clone()).collect();
    for field in &sync.fields {
        let read = match &field.source {
            FieldSource::Column(column, _) => std::slice::from_ref(column),
            FieldSource::Template { columns, .. } => columns.as_slice(),
            FieldSource::Reference(reference) => std::slice::from_ref(&reference.column.0),
            FieldSource::Value(_) => &[],
        };
        let country = match &field.country {
            Some(Country::Column(column, _)) => Some(column),
            Some(Country::Is(_)) | None => None,
        };
        for column in read.iter().chain(country) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
    }
    columns
}

/// The type that each field of a sync sends, where a column gives it one and `as` leaves it.
pub fn classes(sync: &SyncDef, schema: &Schema) -> Vec<Option<TypeClass>> {
    let class = |field: &Field| match (&field.source, field.normalise) {
        (FieldSource::Column(column, _), None) => schema.column(column).map(|(_, column)| column.class.clone()),
        (FieldSource::Column(..), Some(Normaliser::Date)) => Some(TypeClass::Date),
        (FieldSource::Column(..), Some(Normaliser::Timestamp)) => Some(TypeClass::Timestamp),
        (FieldSource::Column(..), Some(Normaliser::Boolean)) => Some(TypeClass::Bool),
        _ => None,
    };
    sync.fields.iter().map(class).collect()
}

impl Mapper {
    /// Binds the fields of `sync` to the columns of its model.
    ///
    /// # Errors
    /// Every column that is not there, or whose type cannot be read, cannot be a key or does not fit `as`,
    /// with the place in the file that names it.
    pub fn compile(sync: &SyncDef, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let checker = Checker { model: &sync.model, schema };
        let mut problems = Vec::new();
        for (column, span) in &sync.model.key {
            problems.extend(checker.key(column, span));
        }
        for (column, span) in &sync.model.mentioned {
            problems.extend(checker.column(column, span).err());
        }
        for check in &sync.checks {
            problems.extend(checker.check(check));
        }
        for (column, span) in sync.people.identifying() {
            problems.extend(checker.identifying(column, span));
        }
        for signal in sync.people.signals() {
            problems.extend(checker.signal(&signal.column, &signal.span));
        }
        let columns = columns(sync);
        let mut steps = Vec::with_capacity(sync.fields.len());
        for field in &sync.fields {
            problems.extend(checker.field(field));
            if let Some(Country::Column(column, span)) = &field.country {
                problems.extend(checker.normalised(column, span, Some(Normaliser::Country)));
            }
            match bind(field, &columns) {
                Ok(step) => steps.push(step),
                Err(problem) => problems.push(problem),
            }
        }
        let targets: Vec<String> = sync.fields.iter().map(|field| field.target.clone()).collect();
        let nest = Nest::compile(&targets).map_err(|errors| {
            problems.extend(
                errors
                    .into_iter()
                    .map(|error| Problem::error("bad-path", error.message).at(&sync.fields[error.target].span)),
            );
        });
        match nest {
            Ok(nest) if problems.is_empty() => {
                let (key, references) = ((0..sync.model.key.len()).collect(), references(sync));
                Ok(Self { targets, key, columns, steps, references, nest })
            }
            _ => Err(problems),
        }
    }
}

/// The fields that are ids of other records.
fn references(sync: &SyncDef) -> Vec<diff::Reference> {
    let reference = |(place, field): (usize, &Field)| match &field.source {
        FieldSource::Reference(Reference { to, missing, .. }) => {
            Some(diff::Reference { place, missing: *missing, own: *to == Referred::Own })
        }
        FieldSource::Column(..) | FieldSource::Value(_) | FieldSource::Template { .. } => None,
    };
    sync.fields.iter().enumerate().filter_map(reference).collect()
}

/// The step of a field whose columns are all among `columns`.
fn bind(field: &Field, columns: &[String]) -> Result<Step, Problem> {
    let places = |names: &[String]| -> Vec<usize> {
        names.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect()
    };
    let place = |column: &str, span: &Span| {
        let place = columns.iter().position(|known| known == column);
        place.ok_or_else(|| Problem::error("unknown-column", column).at(span))
    };
    let source = match &field.source {
        FieldSource::Column(column, span) => Source::Column(place(column, span)?),
        FieldSource::Reference(Reference { column: (column, span), .. }) => Source::Reference(place(column, span)?),
        FieldSource::Value(value) => {
            let value = match field.normalise {
                Some(normaliser) => normaliser
                    .apply(value)
                    .map_err(|reason| Problem::error("bad-value", reason.text).at(&field.span))?,
                None => value.clone(),
            };
            Source::Constant(settle(value, field.default.as_ref(), field.null))
        }
        FieldSource::Template { text, columns: read, span } => {
            let template =
                Template::compile(text).map_err(|error| Problem::error("bad-template", error.message).at(span))?;
            Source::Template(template, places(read))
        }
    };
    Ok(Step { source, form: Form::of(field, columns), default: field.default.clone(), null: field.null })
}

struct Checker<'a> {
    model: &'a ModelDef,
    schema: &'a Schema,
}

impl<'a> Checker<'a> {
    /// The column, if it is there and can be read.
    fn column(&self, name: &str, span: &Span) -> Result<&'a Column, Problem> {
        let Some((_, column)) = self.schema.column(name) else {
            let mut problem =
                Problem::error("unknown-column", format!("the model \"{}\" has no column `{name}`", self.model.name))
                    .at(span)
                    .remedy(format!("its columns: {}", self.schema.names().collect::<Vec<_>>().join(", ")));
            if let Some(near) = nearest(name, self.schema.names()) {
                problem = problem.label(format!("did you mean `{near}`?"));
            }
            return Err(problem);
        };
        if column.class == TypeClass::Unsupported {
            let message = format!("backhaul cannot read column `{name}`: its type is {}", column.native);
            return Err(Problem::error("unsupported-type", message)
                .at(span)
                .remedy("cast it in the model, for instance to text"));
        }
        Ok(column)
    }

    fn key(&self, name: &str, span: &Span) -> Option<Problem> {
        let column = match self.column(name, span) {
            Ok(column) => column,
            Err(problem) => return Some(problem),
        };
        let refused = matches!(
            column.class,
            TypeClass::Float | TypeClass::Json | TypeClass::Array(_) | TypeClass::Interval | TypeClass::Time
        );
        refused.then(|| {
            let message = format!("column `{name}` cannot be a key: it is {} ({})", column.class, column.native);
            Problem::error("bad-key-type", message)
                .at(span)
                .remedy("a key has one exact form: whole numbers, decimals, text, dates, timestamps, uuids; cast it in the model")
        })
    }

    /// A column by which people are found on lists, or drawn.
    fn identifying(&self, name: &str, span: &Span) -> Option<Problem> {
        let column = match self.column(name, span) {
            Ok(column) => column,
            Err(problem) => return Some(problem),
        };
        (!is_identifying(&column.class)).then(|| cannot_identify(column).at(span))
    }

    /// A column with a signal of consent.
    fn signal(&self, name: &str, span: &Span) -> Option<Problem> {
        use TypeClass as T;
        let column = match self.column(name, span) {
            Ok(column) => column,
            Err(problem) => return Some(problem),
        };
        (!matches!(column.class, T::Text | T::Bool | T::Integer | T::Any)).then(|| {
            let message = format!("column `{name}` cannot be consent: it is {} ({})", column.class, column.native);
            Problem::error("wrong-column-type", message)
                .at(span)
                .remedy("consent is a text, a whole number or a boolean; cast it in the model")
        })
    }

    fn check(&self, check: &Check) -> Option<Problem> {
        use TypeClass as T;
        let column = match self.column(check.kind.column()?, &check.span) {
            Ok(column) => column,
            Err(problem) => return Some(problem),
        };
        let (fits, wanted) = match &check.kind {
            CheckKind::Range { .. } => {
                (matches!(column.class, T::Integer | T::Decimal | T::Float | T::Text | T::Any), "numbers")
            }
            CheckKind::Freshness { .. } => {
                (matches!(column.class, T::Timestamp | T::LocalTimestamp | T::Date | T::Text | T::Any), "times")
            }
            CheckKind::AcceptedValues { .. } | CheckKind::Regex { .. } => {
                (!matches!(column.class, T::Bytes | T::Json | T::Array(_)), "values with one text")
            }
            CheckKind::NotNull(_) | CheckKind::Unique(_) | CheckKind::RowCount { .. } => (true, ""),
        };
        (!fits).then(|| {
            let (name, check_name) = (&column.name, check.kind.name());
            let message =
                format!("`{check_name}` needs {wanted}, and column `{name}` is {} ({})", column.class, column.native);
            Problem::error("wrong-column-type", message).at(&check.span).remedy("cast the column in the model")
        })
    }

    fn field(&self, field: &Field) -> Vec<Problem> {
        match &field.source {
            FieldSource::Value(_) => Vec::new(),
            FieldSource::Template { columns, span, .. } => {
                let refused = columns.iter().filter_map(|column| self.column(column, span).err());
                refused.map(|problem| in_template(problem, self.schema)).collect()
            }
            FieldSource::Column(name, span) => self.normalised(name, span, field.normalise),
            FieldSource::Reference(reference) => self.reference(reference, field.normalise),
        }
    }

    fn normalised(&self, name: &str, span: &Span, normalise: Option<Normaliser>) -> Vec<Problem> {
        match (self.column(name, span), normalise) {
            (Err(problem), _) => vec![problem],
            (Ok(column), Some(normaliser)) if !fits(normaliser, &column.class) => {
                let message = format!(
                    "`as = \"{}\"` does not fit column `{name}`, which is {} ({})",
                    normaliser.as_str(),
                    column.class,
                    column.native
                );
                vec![
                    Problem::error("wrong-column-type", message)
                        .at(span)
                        .remedy("take `as` out, or cast the column in the model"),
                ]
            }
            (Ok(_), _) => Vec::new(),
        }
    }

    /// Whatever finds a record can be compared, as a key can; a row of the same model is found by a value of its key's
    /// type.
    fn reference(&self, reference: &Reference, normalise: Option<Normaliser>) -> Vec<Problem> {
        let (name, span) = &reference.column;
        if normalise.is_some() {
            return self.normalised(name, span, normalise);
        }
        if let Some(problem) = self.key(name, span) {
            return vec![problem];
        }
        let (Referred::Own, [(key, _)]) = (&reference.to, self.model.key.as_slice()) else { return Vec::new() };
        let class = |column: &str| self.schema.column(column).map(|(_, column)| &column.class);
        match (class(name), class(key)) {
            (Some(theirs), Some(own)) if !are_alike(theirs, own) => {
                let message =
                    format!("column `{name}` is {theirs}, and the key `{key}`, which it has values of, is {own}");
                vec![Problem::error("wrong-column-type", message).at(span).remedy("cast one of them in the model")]
            }
            _ => Vec::new(),
        }
    }
}

/// Whether values of both can be the same key.
fn are_alike(a: &TypeClass, b: &TypeClass) -> bool {
    use TypeClass as T;
    let numeric = |class: &TypeClass| matches!(class, T::Integer | T::Decimal);
    a == b || *a == T::Any || *b == T::Any || numeric(a) && numeric(b)
}

/// A template's names are columns; whoever looks for a function or a clock should be told.
fn in_template(problem: Problem, schema: &Schema) -> Problem {
    if problem.code != "unknown-column" {
        return problem;
    }
    let columns: Vec<&str> = schema.names().collect();
    problem
        .remedy(format!("a template reads columns, and nothing else (no clock, no functions): {}", columns.join(", ")))
}

/// Whether people can be found by values of the class: they have one exact form.
pub fn is_identifying(class: &TypeClass) -> bool {
    use TypeClass as T;
    matches!(class, T::Integer | T::Text | T::Uuid | T::Any)
}

/// The problem of a column that people cannot be found by.
pub fn cannot_identify(column: &Column) -> Problem {
    let Column { name, class, native } = column;
    Problem::error("wrong-column-type", format!("people cannot be found by column `{name}`: it is {class} ({native})"))
        .remedy("whole numbers, text and uuids have one exact form; cast it in the model")
}

/// Whether a normaliser can take any value of a class.
fn fits(normaliser: Normaliser, class: &TypeClass) -> bool {
    use TypeClass as T;
    if *class == T::Any {
        return true;
    }
    match normaliser {
        Normaliser::Email | Normaliser::Phone | Normaliser::Name | Normaliser::Country => *class == T::Text,
        Normaliser::Postcode => matches!(class, T::Text | T::Integer),
        Normaliser::Date | Normaliser::Timestamp => {
            matches!(class, T::Text | T::Date | T::Timestamp | T::LocalTimestamp)
        }
        Normaliser::Text => true,
        Normaliser::Number => matches!(class, T::Text | T::Integer | T::Decimal | T::Float | T::Json),
        Normaliser::Boolean => matches!(class, T::Text | T::Integer | T::Bool),
    }
}
