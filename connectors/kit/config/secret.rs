//! Secrets by reference. A value is read when it is used, wrapped in `secrecy`, and read again when its
//! file changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::SecretString;

use crate::fault::Fault;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `{ secret = "name" }`: systemd credentials, then the secrets folder, then `BACKHAUL_SECRET_NAME`.
    Named(String),
    /// `{ env = "VARIABLE" }`.
    Env(String),
    /// `{ file = "path" }`, relative to the project.
    File(PathBuf),
    /// `{ credential = "name" }`: a systemd credential.
    Credential(String),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => write!(f, "secret \"{name}\""),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(name) => write!(f, "credential \"{name}\""),
        }
    }
}

/// Finds secrets. One per process.
#[derive(Clone, Debug)]
pub struct Secrets {
    project: PathBuf,
    credentials: Option<PathBuf>,
    folder: PathBuf,
}

const DEFAULT_FOLDER: &str = "/run/secrets/backhaul";
/// Larger files are not secrets but mistakes.
const MAX_BYTES: u64 = 1 << 20;

impl Secrets {
    /// Looks where the environment says (`CREDENTIALS_DIRECTORY`, `BACKHAUL_SECRETS_DIR`); relative files
    /// are looked up below `project`.
    pub fn from_env(project: &Path) -> Self {
        Self {
            project: project.to_owned(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            folder: std::env::var_os("BACKHAUL_SECRETS_DIR").map_or_else(|| DEFAULT_FOLDER.into(), PathBuf::from),
        }
    }

    /// A path of the project's files: what is relative lies below the project.
    pub fn project_path(&self, path: &Path) -> PathBuf {
        self.project.join(path)
    }

    /// A handle that reads the secret when asked.
    pub fn secret(&self, reference: SecretRef) -> Secret {
        Secret { secrets: self.clone(), reference, cache: Arc::default() }
    }

    fn place(&self, reference: &SecretRef) -> Result<Place, Fault> {
        let not_found = |tried: &str| {
            Fault::auth(format!("{reference} was not found")).remedy(format!("provide it as one of: {tried}"))
        };
        match reference {
            SecretRef::Env(name) => Ok(Place::Env(name.clone())),
            SecretRef::File(path) => Ok(Place::File(self.project_path(path))),
            SecretRef::Credential(name) => {
                let folder = self.credentials.as_ref().ok_or_else(|| {
                    not_found("a systemd unit with LoadCredential= (CREDENTIALS_DIRECTORY is not set here)")
                })?;
                Ok(Place::File(folder.join(name)))
            }
            SecretRef::Named(name) => {
                let files = self.credentials.iter().map(|c| c.join(name)).chain([self.folder.join(name)]);
                let mut tried = Vec::new();
                for file in files {
                    if file.is_file() {
                        return Ok(Place::File(file));
                    }
                    tried.push(format!("file {}", file.display()));
                }
                let variable = variable_of(name);
                if std::env::var_os(&variable).is_some() {
                    return Ok(Place::Env(variable));
                }
                tried.push(format!("variable {variable}"));
                Err(not_found(&tried.join(", ")))
            }
        }
    }
}

/// `hubspot-token` → `BACKHAUL_SECRET_HUBSPOT_TOKEN`.
fn variable_of(name: &str) -> String {
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("BACKHAUL_SECRET_{}", upper.collect::<String>())
}

enum Place {
    Env(String),
    File(PathBuf),
}

/// What tells a file's contents apart: its path, when it was changed, its length.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// One secret. Cloning shares the cache.
#[derive(Clone)]
pub struct Secret {
    secrets: Secrets,
    reference: SecretRef,
    cache: Arc<Mutex<Option<(Stamp, SecretString)>>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

impl Secret {
    /// Where it comes from.
    pub fn reference(&self) -> &SecretRef {
        &self.reference
    }

    /// The value as it is now; a file is read again when its time or size changed. A trailing line break
    /// is dropped.
    ///
    /// # Errors
    /// `Auth`, with the places that were tried; never the value.
    pub fn reveal(&self) -> Result<SecretString, Fault> {
        match self.secrets.place(&self.reference)? {
            Place::Env(name) => match std::env::var(&name) {
                Ok(value) if !value.is_empty() => Ok(value.into()),
                Ok(_) => Err(Fault::auth(format!("environment variable {name} is empty"))),
                Err(_) => Err(Fault::auth(format!("environment variable {name} is not set"))
                    .remedy(format!("export {name}=…, or name another source in the file"))),
            },
            Place::File(path) => self.read(&path),
        }
    }

    fn read(&self, path: &Path) -> Result<SecretString, Fault> {
        let fault = |e: std::io::Error| {
            Fault::auth(format!("cannot read {}: {e}", path.display()))
                .remedy("check that the file exists and that this user may read it")
        };
        let meta = std::fs::metadata(path).map_err(fault)?;
        if meta.len() > MAX_BYTES {
            return Err(Fault::auth(format!("{} is larger than 1 MiB: not a secret", path.display())));
        }
        let stamp: Stamp = (path.to_owned(), meta.modified().ok(), meta.len());
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = cache.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(value.clone());
        }
        let text = std::fs::read_to_string(path).map_err(fault)?;
        let value: SecretString = text.trim_end_matches(['\n', '\r']).to_owned().into();
        *cache = Some((stamp, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_rotated_file_is_read_again() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("token"), "one\n").expect("written");
        let secret = Secrets::from_env(dir.path()).secret(SecretRef::File("token".into()));
        assert_eq!(secret.reveal().expect("readable").expose_secret(), "one");
        std::fs::write(dir.path().join("token"), "second\n").expect("written");
        assert_eq!(secret.reveal().expect("readable").expose_secret(), "second");
        assert!(!format!("{secret:?}").contains("second"));
    }

    #[test]
    fn names_become_variables() {
        assert_eq!(variable_of("hubspot-token.v2"), "BACKHAUL_SECRET_HUBSPOT_TOKEN_V2");
    }

    #[test]
    fn a_missing_secret_says_where_it_was_sought() {
        let secrets = Secrets::from_env(Path::new("."));
        let fault = secrets.secret(SecretRef::Named("no-such-thing".into())).reveal().expect_err("missing");
        assert_eq!(fault.class, crate::FaultClass::Auth);
        assert!(fault.remedy_text().contains("BACKHAUL_SECRET_NO_SUCH_THING"));
    }
}
