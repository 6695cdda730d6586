//! One scan: the files are listed, read one after the other, and listed again.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Column, Fault, Model, ModelQuery, Projection, Proof, Query, RowPage, Rows, Scan, Scanned, Schema, Since, TypeClass,
};
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::super::columns::{places, unique};
use super::super::deadline::within;
use super::listing::{Listed, Listing, Place, changed};
use super::pattern::{Format, Pattern};
use super::since::Asked;
use super::{csv, jsonl, parquet};

/// A page is handed over when it has so many rows …
pub(super) const PAGE_ROWS: usize = 4096;
/// … or so many bytes.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// Pages between the reading thread and its taker.
const PAGES_AHEAD: usize = 2;

/// Takes a page. Fails when nobody wants more.
pub(super) type Emit<'a> = dyn FnMut(Box<dyn RowPage>) -> Result<(), Fault> + 'a;

/// A file that is not what its ending says, or not all of it.
pub(super) fn malformed(path: &Path, what: impl fmt::Display) -> Fault {
    Fault::transient(format!("{}: {what}", path.display()))
        .remedy("if it is still being written, run again; else have it written anew, elsewhere and then renamed")
}

/// An open scan.
pub(super) struct FilesScan {
    files: Files,
    schema: Schema,
    since: Option<Since>,
    deadline: Option<Instant>,
}

/// The files of a model.
struct Files {
    model: String,
    place: Place,
    pattern: Pattern,
    listing: Listing,
}

impl FilesScan {
    /// Lists the files and reads their columns.
    pub(super) async fn open(place: Place, model: &Model) -> Result<Self, Fault> {
        let deadline = model.timeout.map(|timeout| Instant::now() + timeout);
        let pattern = pattern(&model.query)?;
        if model.filter.is_some() {
            return Err(Fault::config("`where` is SQL, which files know nothing of").remedy("take it out of the sync"));
        }
        let (name, since) = (model.name.clone(), model.since.clone());
        let opening = spawn_blocking(move || {
            let listing = Listing::of(&place, &pattern)?;
            let files = Files { model: name, place, pattern, listing };
            let schema = files.schema()?;
            Ok((files, schema))
        });
        let (files, schema) = within(deadline, opening, &model.name).await?.map_err(stopped)??;
        Ok(Self { files, schema, since, deadline })
    }
}

/// The pattern of a model.
///
/// # Errors
/// `Config` where the model is SQL, or its pattern is none.
pub(super) fn pattern(query: &ModelQuery) -> Result<Pattern, Fault> {
    match query {
        ModelQuery::Files(pattern) => Pattern::parse(pattern),
        ModelQuery::Sql(_) | ModelQuery::Table(_) => {
            Err(Fault::config("a warehouse of `type = \"files\"` knows no SQL and no tables")
                .remedy("give the model `files`, a pattern below the warehouse's `root`, as \"customers/*.parquet\""))
        }
    }
}

fn stopped(error: tokio::task::JoinError) -> Fault {
    Fault::bug("reading files ended early").caused_by(error)
}

impl Files {
    /// The columns that all files have.
    fn schema(&self) -> Result<Schema, Fault> {
        let mut files = self.listing.files.iter();
        let mut columns = Vec::new();
        if let Some(first) = files.next() {
            columns = self.columns(first)?;
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            unique(&self.model, &names, str::eq)
                .map_err(|fault| fault.remedy("have the files written with a name of its own for each column"))?;
            for other in files {
                self.agree(first, &mut columns, other, &self.columns(other)?)?;
            }
        }
        Ok(Schema { columns })
    }

    /// Holds another file's columns against those of the first. A column that had nothing but NULLs so far takes its
    /// type from there.
    fn agree(&self, first: &Listed, columns: &mut [Column], file: &Listed, theirs: &[Column]) -> Result<(), Fault> {
        let refuse = |what: String| {
            Fault::config(format!("{}: {what}", file.path.display()))
                .remedy("all files of a model have the same columns: have it written anew, or leave it out by `files`")
        };
        let shown = first.path.display();
        if let Some(more) = theirs.iter().find(|column| !columns.iter().any(|known| known.name == column.name)) {
            return Err(refuse(format!("has a column `{}`, which {shown} has not", more.name)));
        }
        if theirs.len() > columns.len() {
            return Err(refuse(String::from("has a column twice")));
        }
        for column in columns {
            let Some(other) = theirs.iter().find(|other| other.name == column.name) else {
                return Err(refuse(format!("has no column `{}`, which {shown} has", column.name)));
            };
            if column.class == TypeClass::Any {
                *column = other.clone();
            } else if other.class != column.class && other.class != TypeClass::Any {
                let (name, own, theirs) = (&column.name, &column.native, &other.native);
                return Err(refuse(format!("column `{name}` is {theirs}, which does not go with {own} in {shown}")));
            }
        }
        Ok(())
    }

    fn columns(&self, listed: &Listed) -> Result<Vec<Column>, Fault> {
        self.on(listed, |file| match self.pattern.format() {
            Format::Parquet => parquet::columns(&file, &listed.path),
            Format::Csv => csv::columns(file, &listed.path),
            Format::JsonLines => jsonl::columns(file, &listed.path),
        })
    }

    /// Reads all files, and makes sure that they still are what they were. Returns the number of rows.
    fn read(&self, projection: &Projection, emit: &mut Emit<'_>) -> Result<u64, Fault> {
        let mut rows = 0;
        for listed in &self.listing.files {
            rows += self.on(listed, |file| match self.pattern.format() {
                Format::Parquet => parquet::read(file, &listed.path, projection, emit),
                Format::Csv => csv::read(file, &listed.path, projection, emit),
                Format::JsonLines => jsonl::read(file, &listed.path, projection, emit),
            })?;
        }
        self.listing.confirm(&self.place, &self.pattern)?;
        Ok(rows)
    }

    /// Does something with an open file. What goes wrong with one that changes meanwhile is blamed on the change; a
    /// decoder that panics has met a malformed file.
    fn on<T>(&self, listed: &Listed, act: impl FnOnce(File) -> Result<T, Fault>) -> Result<T, Fault> {
        let file = listed.open()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| act(file)))
            .unwrap_or_else(|_| Err(malformed(&listed.path, "its decoder gave up")));
        outcome.map_err(|fault| if listed.is_unchanged() { fault } else { changed(&listed.path, "was changed") })
    }
}

/// What proves that no row is missing.
fn proof(format: Format) -> Proof {
    Proof::of_all(match format {
        Format::Parquet => "the row counts of all footers, and files that did not change",
        Format::Csv | Format::JsonLines => "the ended last line of every file, and files that did not change",
    })
}

#[async_trait]
impl Scan for FilesScan {
    async fn columns(&mut self) -> Result<Schema, Fault> {
        Ok(self.schema.clone())
    }

    async fn check(&mut self, _: &Query) -> Result<Rows, Fault> {
        Err(Fault::config(format!("model `{}` is made of files, which answer no questions in SQL", self.files.model))
            .remedy("leave the check out, or load the files into a warehouse that knows SQL"))
    }

    fn pages(self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>> {
        Box::pin(try_stream! {
            let Self { files, schema, since, deadline } = *self;
            places(&files.model, &schema, &projection)?;
            let (model, proof) = (files.model.clone(), proof(files.pattern.format()));
            let proof = if since.is_some() { proof.of_part() } else { proof };
            let asked = since.map(|since| Asked::new(&since, &projection)).transpose()?.flatten();
            let (pages, mut taken) = mpsc::channel(PAGES_AHEAD);
            let reading = spawn_blocking(move || {
                let given_up = || Fault::transient("the scan was given up");
                let mut passed_by = 0;
                let rows = files.read(&projection, &mut |page| {
                    let all = page.rows();
                    let page: Box<dyn RowPage> = match &asked {
                        None => page,
                        Some(asked) => Box::new(asked.of(page)?),
                    };
                    passed_by += (all - page.rows()) as u64;
                    if page.rows() > 0 {
                        pages.blocking_send(page).map_err(|_| given_up())
                    } else if pages.is_closed() {
                        Err(given_up())
                    } else {
                        Ok(())
                    }
                })?;
                Ok::<_, Fault>(rows - passed_by)
            });
            while let Some(page) = within(deadline, taken.recv(), &model).await? {
                yield Scanned::Page(page);
            }
            // The channel closes when the reading thread is done, with all files or with a fault.
            let rows = reading.await.map_err(stopped)??;
            yield Scanned::End { rows, proof };
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_has_met_a_malformed_file() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.csv"), "id\n").expect("written");
        let place = Place { root: folder.path().to_owned(), done: None, quiet: std::time::Duration::ZERO };
        let pattern = Pattern::parse("a.csv").expect("a pattern");
        let listing = Listing::of(&place, &pattern).expect("a file");
        let files = Files { model: String::from("people"), place, pattern, listing };
        let outcome = files.on(&files.listing.files[0], |_| -> Result<(), Fault> { panic!("of a test") });
        assert_eq!(outcome.expect_err("malformed").to_string(), "a.csv: its decoder gave up");
    }
}
