//! The state key, and small sealed texts.
//!
//! Keys, addresses and values are people's data: nothing of them is written to disk in the clear. Large
//! files have a data key each, wrapped by the state key ([`super::sealed`]).

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::error::FileError;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// What AES-GCM adds to a text.
pub(super) const TAG_BYTES: usize = 16;
/// What [`StateKey::seal_blob`] adds to a text: the nonce before it, the tag behind it.
pub(super) const BLOB_OVERHEAD: usize = NONCE_LEN + TAG_BYTES;
/// A key file is never longer: 64 digits and some white space.
const MAX_KEY_FILE: u64 = 256;

/// The key that everything in the state folder is encrypted under. Wiped from memory when dropped.
pub struct StateKey(SecretBox<[u8; KEY_BYTES]>);

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateKey(…)")
    }
}

impl StateKey {
    /// A new random key.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn random() -> Result<Self, FileError> {
        let mut filled = Ok(());
        let key = SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| filled = fill_random(bytes));
        filled.map(|()| Self(key))
    }

    /// Makes a new random key and writes it to `path` (mode 0600, as hexadecimal digits).
    ///
    /// # Errors
    /// The file exists already (a key is never overwritten), or cannot be written.
    pub fn create_file(path: &Path) -> Result<Self, FileError> {
        let key = Self::random()?;
        let mut text = String::with_capacity(2 * KEY_BYTES + 1);
        for byte in key.0.expose_secret() {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        text.push('\n');
        // Linked under its name when it is whole: nobody ever reads half a key.
        let fresh = path.with_extension(format!("new-{}", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::hard_link(&fresh, path));
        text.zeroize();
        // What stays behind is a key that seals nothing.
        drop(std::fs::remove_file(&fresh));
        written.map(|()| key).map_err(|e| FileError::io("create", path, e))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// The file cannot be read, other users may read it, or it does not hold a key.
    pub fn read_file(path: &Path) -> Result<Self, FileError> {
        let io = |e| FileError::io("read", path, e);
        let file = std::fs::File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(FileError::Exposed { file: path.to_owned() });
        }
        let mut text = String::new();
        let read = file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(io);
        let key = read.and_then(|_| Self::parse(&text, &path.display().to_string()));
        text.zeroize();
        key
    }

    /// The key in a secret: 32 bytes as 64 hexadecimal digits or as base64.
    ///
    /// # Errors
    /// The text is neither; the message never has the text.
    pub fn from_secret(secret: &SecretString) -> Result<Self, FileError> {
        Self::parse(secret.expose_secret(), "the secret")
    }

    fn parse(text: &str, place: &str) -> Result<Self, FileError> {
        let not_a_key = |what| FileError::NotAKey { place: place.to_owned(), what };
        let text = text.trim();
        let mut bytes = if text.len() == 2 * KEY_BYTES {
            from_hex(text).ok_or_else(|| not_a_key("64 characters that are not all hexadecimal digits"))?
        } else {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|engine| engine.decode(text).ok())
                .ok_or_else(|| not_a_key("neither 64 hexadecimal digits nor base64"))?
        };
        let fits = bytes.len() == KEY_BYTES;
        let key = SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| {
            if fits {
                key.copy_from_slice(&bytes);
            }
        });
        bytes.zeroize();
        if fits { Ok(Self(key)) } else { Err(not_a_key("base64 of another length than 32 bytes")) }
    }

    /// Seals a small text. `context` says what it is (`reject/customers`): a sealed text opens only in the
    /// context that it was sealed in.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn seal_blob(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, FileError> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut sealed = Vec::with_capacity(plain.len() + BLOB_OVERHEAD);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        cipher(self.0.expose_secret())?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut text)
            .map_err(|_| FileError::Crypto("sealing failed"))?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`StateKey::seal_blob`] sealed; `None` under another key or context, or when it was altered.
    pub fn open_blob(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let plain = cipher(self.0.expose_secret())
            .ok()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut text)
            .ok()?
            .len();
        text.truncate(plain);
        Some(text)
    }
}

/// An AES-256-GCM key ready for use.
pub(super) fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, FileError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| FileError::Crypto("AES-256-GCM is refused"))?;
    Ok(LessSafeKey::new(key))
}

/// Fills `bytes` from the machine's random source.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), FileError> {
    rand::fill(bytes).map_err(|_| FileError::Crypto("no random bytes"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_comes_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let key = StateKey::create_file(&path).expect("a new key");
        assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        let again = StateKey::read_file(&path).expect("the key");
        let sealed = key.seal_blob(b"test", b"hello").expect("sealed");
        assert_eq!(again.open_blob(b"test", &sealed).as_deref(), Some(&b"hello"[..]));
        assert!(StateKey::create_file(&path).is_err());
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        StateKey::create_file(&path).expect("a new key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let refused = StateKey::read_file(&path).expect_err("exposed");
        assert!(matches!(refused, FileError::Exposed { .. }));
        assert!(refused.remedy().contains("chmod 600"));
    }

    #[test]
    fn a_key_is_read_as_hex_or_base64_and_nothing_else() {
        let hex = SecretString::from("ab".repeat(32));
        let base64 = SecretString::from(STANDARD.encode([0xab; 32]));
        let sealed = StateKey::from_secret(&hex).expect("hex").seal_blob(b"", b"x").expect("sealed");
        let key = StateKey::from_secret(&base64).expect("base64");
        assert_eq!(key.open_blob(b"", &sealed).as_deref(), Some(&b"x"[..]));
        for wrong in ["", "hunter2", &"zz".repeat(32), &STANDARD.encode([1; 31])] {
            let refused = StateKey::from_secret(&SecretString::from(wrong)).expect_err("not a key");
            assert!(wrong.is_empty() || !refused.to_string().contains(wrong), "{refused}");
        }
    }

    #[test]
    fn a_blob_opens_only_under_its_key_in_its_context_and_unaltered() {
        let key = StateKey::random().expect("a key");
        let mut sealed = key.seal_blob(b"here", b"text").expect("sealed");
        assert_eq!(key.open_blob(b"there", &sealed), None);
        assert_eq!(StateKey::random().expect("a key").open_blob(b"here", &sealed), None);
        assert_eq!(key.open_blob(b"here", &sealed[..8]), None);
        sealed[14] ^= 1;
        assert_eq!(key.open_blob(b"here", &sealed), None);
    }
}
