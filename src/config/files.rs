//! Reading the project's files: regular, not too large, UTF-8.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backhaul_kit::config::{Problem, SourceFile};

/// No hand-written file is larger.
const MAX_BYTES: u64 = 1 << 20;

/// Reads `root/relative`; links are followed (mounted projects are made of them), devices and pipes are not read.
pub(super) fn read(root: &Path, relative: &Path) -> Result<Arc<SourceFile>, Problem> {
    let path = root.join(relative);
    let shown = relative.display();
    let metadata = std::fs::metadata(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::error("missing-file", format!("there is no file {shown}")),
        _ => unreadable(relative, &error),
    })?;
    if !metadata.is_file() {
        return Err(Problem::error("unreadable-file", format!("{shown} is not a file")));
    }
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(relative, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::error("file-too-large", format!("{shown} is larger than 1 MiB"))
            .remedy("configuration is small: is this another file under that name?"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Problem::error("not-utf8", format!("{shown} is not UTF-8 text (first wrong byte in line {line})"))
            .remedy("save the file as UTF-8")
    })?;
    Ok(Arc::new(SourceFile { path: relative.to_owned(), text }))
}

fn unreadable(relative: &Path, error: &std::io::Error) -> Problem {
    Problem::error("unreadable-file", format!("cannot read {}: {error}", relative.display()))
        .remedy("check the file's owner and rights")
}

/// The names and paths of `folder/*.toml`, sorted; hidden files are left out, and a folder that is not
/// there is empty.
pub(super) fn list(root: &Path, folder: &str) -> Result<Vec<(String, PathBuf)>, Problem> {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(Path::new(folder), &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(Path::new(folder), &error))?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else {
            let shown = Path::new(folder).join(&file_name);
            return Err(Problem::error("bad-name", format!("the name of {} is not UTF-8", shown.display())));
        };
        if let Some(name) = file_name.strip_suffix(".toml")
            && !file_name.starts_with('.')
        {
            found.push((name.to_owned(), Path::new(folder).join(file_name)));
        }
    }
    found.sort();
    Ok(found)
}
