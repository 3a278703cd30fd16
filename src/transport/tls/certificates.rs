//! Certificates and keys out of files, in PEM. Called at start and when CONFIG SET names or renews them.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;

use crate::sys::Errno;

/// The mark of a key that a password protects, as every tool writes it today.
const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The mark of one that tools of the past protected. What they did is no protection, and is not read.
const ENCRYPTED_OLD: &str = "Proc-Type: 4,ENCRYPTED";

/// All certificates of a file: the server's own one first, and those that vouch for it behind.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    if chain.is_empty() { Err("no start line".to_owned()) } else { Ok(chain) }
}

/// The key of a file; `password` is only used where it is encrypted.
pub(super) fn key(path: &Path, password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains(ENCRYPTED_OLD) {
        return Err("the key is encrypted in a format of the past: convert it with 'openssl pkcs8 -topk8'".to_owned());
    }
    if let Some(start) = text.find(ENCRYPTED_BEGIN) {
        return decrypted(&text[start..], password);
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => "no start line".to_owned(),
        error => error.to_string(),
    })
}

/// Whether a certificate is one of this key: it has its public half in it, as it is. Where a key does not tell its public
/// half, nobody can say.
pub(super) fn fits(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    key.public_key().is_none_or(|public| certificate.windows(public.len()).any(|part| part == &*public))
}

/// A key out of text that begins with its mark.
fn decrypted(text: &str, password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let end = text.find(ENCRYPTED_END).ok_or("bad end line")?;
    let (_, document) =
        SecretDocument::from_pem(&text[..end + ENCRYPTED_END.len()]).map_err(|error| error.to_string())?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| error.to_string())?;
    let plain = encrypted.decrypt(password).map_err(|_| "bad decrypt".to_owned())?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec())))
}

/// The authorities of a file and of all files of a folder. A folder that is not there is an empty one, as it is to OpenSSL.
pub(super) fn authorities(file: &Path, folder: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    if !file.as_os_str().is_empty() {
        let certificates = chain(file).map_err(|reason| match reason.as_str() {
            "no start line" => "no certificate or crl found".to_owned(),
            _ => reason,
        })?;
        for certificate in certificates {
            store.add(certificate).map_err(|error| error.to_string())?;
        }
    }
    if !folder.as_os_str().is_empty()
        && let Ok(entries) = fs::read_dir(folder)
    {
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            store.add_parsable_certificates(chain(&path).unwrap_or_default());
        }
    }
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| Errno::from(error).to_string())
}
