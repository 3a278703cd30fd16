//! OpenSSL's names of protocols and ciphers, in which the parameters are written, and what rustls has of them. Pure.
//!
//! rustls has only ciphers that encrypt and authenticate in one, with keys that are agreed anew for each connection. A list
//! that asks for anything else by name is refused, so that nobody believes to have what is not there.

#![forbid(unsafe_code)]

use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// Ciphers of TLS 1.3 in the order of OpenSSL's default.
static SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
];

/// A cipher of TLS 1.2: its name in OpenSSL, and the words of its language that it is meant by.
struct Cipher {
    name: &'static str,
    words: &'static [&'static str],
    suite: SupportedCipherSuite,
}

/// Ciphers of TLS 1.2 in the order of OpenSSL's default.
static CIPHERS: &[Cipher] = &[
    Cipher {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        words: &["AES", "AES256", "AESGCM", "ECDSA", "aECDSA"],
        suite: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    },
    Cipher {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        words: &["AES", "AES256", "AESGCM", "aRSA"],
        suite: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    },
    Cipher {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        words: &["CHACHA20", "ECDSA", "aECDSA"],
        suite: TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    },
    Cipher {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        words: &["CHACHA20", "aRSA"],
        suite: TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    },
    Cipher {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        words: &["AES", "AES128", "AESGCM", "ECDSA", "aECDSA"],
        suite: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    },
    Cipher {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        words: &["AES", "AES128", "AESGCM", "aRSA"],
        suite: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    },
];

/// Words by which all of them are meant.
const EVERY: &[&str] = &["ALL", "DEFAULT", "HIGH", "FIPS", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH"];

/// Words of the language by which none of them is meant. A list may well leave them out, or let them in.
const NONE: &str = "3DES ADH AECDH AESCCM AESCCM8 ARIA CAMELLIA COMPLEMENTOFALL COMPLEMENTOFDEFAULT DES DH DHE DSS EDH EXP EXPORT IDEA LOW MD5 MEDIUM NULL PSK RC2 \
                    RC4 RSA SEED SHA SHA1 SHA256 SHA384 SRP SSLv3 TLSv1 TLSv1.0 aDSS aNULL aPSK eNULL kDHE kEDH kPSK kRSA kSRP";

/// A name that nothing here corresponds to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has no counterpart in this server: {hint}")]
pub(super) struct NoCounterpart {
    name: String,
    hint: &'static str,
}

/// The words of `tls-protocols`, divided by blanks. None: one of them is no protocol at all.
pub(super) fn protocols(text: &str) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut versions = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "tlsv1" | "tlsv1.1" => {}
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1.3" => versions.push(&TLS13),
            _ => return None,
        }
    }
    if text.is_empty() { Some(vec![&TLS13, &TLS12]) } else { Some(versions) }
}

/// `tls-ciphersuites`: names of TLS 1.3's ciphers, the preferred one first.
pub(super) fn suites(text: &str) -> Result<Vec<SupportedCipherSuite>, NoCounterpart> {
    if text.is_empty() {
        return Ok(SUITES.iter().map(|(_, suite)| *suite).collect());
    }
    let mut chosen = Vec::new();
    for name in words(text) {
        let found = SUITES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let hint = "it has TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256 and TLS_AES_128_GCM_SHA256";
        let (_, suite) = found.ok_or_else(|| NoCounterpart { name: name.to_owned(), hint })?;
        add(&mut chosen, *suite);
    }
    Ok(chosen)
}

/// `tls-ciphers`: OpenSSL's list of ciphers of TLS 1.2 and before, the preferred one first. Empty where it leaves none.
pub(super) fn ciphers(text: &str) -> Result<Vec<SupportedCipherSuite>, NoCounterpart> {
    if text.is_empty() {
        return ciphers("DEFAULT");
    }
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut banned: Vec<SupportedCipherSuite> = Vec::new();
    for word in words(text) {
        // How to sort them, and what OpenSSL takes for secure: all of these are.
        if word.starts_with('@') {
            continue;
        }
        let (operator, name) = match word.as_bytes()[0] {
            operator @ (b'!' | b'-' | b'+') => (operator, &word[1..]),
            _ => (b' ', word),
        };
        let meant = meant_by(name);
        let hint = "it has ECDHE-RSA and ECDHE-ECDSA with AES256-GCM-SHA384, CHACHA20-POLY1305 and AES128-GCM-SHA256";
        match (operator, meant) {
            // What is not there need not be left out.
            (b'!' | b'-' | b'+', None) => {}
            (_, None) => return Err(NoCounterpart { name: name.to_owned(), hint }),
            (b'!', Some(meant)) => {
                chosen.retain(|suite| !meant.contains(suite));
                banned.extend(meant);
            }
            (b'-', Some(meant)) => chosen.retain(|suite| !meant.contains(suite)),
            (b'+', Some(meant)) => {
                let (moved, kept): (Vec<_>, Vec<_>) = chosen.iter().copied().partition(|suite| meant.contains(suite));
                chosen = [kept, moved].concat();
            }
            (_, Some(meant)) => {
                meant.into_iter().filter(|suite| !banned.contains(suite)).for_each(|suite| add(&mut chosen, suite));
            }
        }
    }
    Ok(chosen)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([':', ',', ' ', ';']).filter(|word| !word.is_empty())
}

fn add(chosen: &mut Vec<SupportedCipherSuite>, suite: SupportedCipherSuite) {
    if !chosen.contains(&suite) {
        chosen.push(suite);
    }
}

/// The ciphers that a name, or several words joined by `+`, means. None: it is neither.
fn meant_by(name: &str) -> Option<Vec<SupportedCipherSuite>> {
    if let Some(cipher) = CIPHERS.iter().find(|cipher| cipher.name == name) {
        return Some(vec![cipher.suite]);
    }
    let mut meant: Vec<SupportedCipherSuite> = CIPHERS.iter().map(|cipher| cipher.suite).collect();
    for word in name.split('+') {
        if EVERY.contains(&word) {
            continue;
        }
        let these = CIPHERS.iter().filter(|cipher| cipher.words.contains(&word));
        let these: Vec<SupportedCipherSuite> = these.map(|cipher| cipher.suite).collect();
        if these.is_empty() && !NONE.split(' ').any(|known| known == word) {
            return None;
        }
        meant.retain(|suite| these.contains(suite));
    }
    Some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<&'static str>, String> {
        let name_of = |suite: &SupportedCipherSuite| {
            CIPHERS.iter().find(|cipher| cipher.suite == *suite).map_or("?", |cipher| cipher.name)
        };
        ciphers(text).map(|suites| suites.iter().map(name_of).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_read_as_openssl_does() {
        let all = names("").expect("the default");
        assert_eq!(all.len(), CIPHERS.len());
        for same in ["DEFAULT", "DEFAULT:!MEDIUM", "HIGH:!aNULL:!kRSA:!PSK:@STRENGTH", "ECDHE+AES,CHACHA20:ALL"] {
            let mut listed = names(same).expect(same);
            listed.sort_by_key(|name| all.iter().position(|known| known == name));
            assert_eq!(listed, all, "{same}");
        }
        let two = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"];
        assert_eq!(names(&two.join(":")).expect("names"), two);
        assert_eq!(names("ECDHE+AESGCM+aRSA:!AES256:nosuch+x").expect_err("no word"), {
            "nosuch+x has no counterpart in this server: it has ECDHE-RSA and ECDHE-ECDSA with AES256-GCM-SHA384, \
             CHACHA20-POLY1305 and AES128-GCM-SHA256"
        });
        assert_eq!(names("AESGCM+aRSA:-AES256:!nosuch").expect("a list"), ["ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(
            names("!AES:ALL:+ECDSA").expect("a list"),
            ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"]
        );
        assert_eq!(names("LOW").expect("a list"), [""; 0]);
        assert!(names("AES128-SHA:DEFAULT").expect_err("too old").starts_with("AES128-SHA has no counterpart"));
    }

    #[test]
    fn protocols_and_suites_have_names() {
        assert_eq!(protocols("").expect("default"), [&TLS13, &TLS12]);
        assert_eq!(protocols("tlsv1.2  TLSv1.3").expect("both"), [&TLS12, &TLS13]);
        assert_eq!(protocols("TLSv1 TLSv1.1").expect("known"), [&TLS12; 0]);
        assert_eq!(protocols("TLSv1.3,TLSv1.2"), None);
        assert_eq!(suites("").expect("default").len(), SUITES.len());
        assert_eq!(suites("TLS_AES_128_GCM_SHA256").expect("one"), [TLS13_AES_128_GCM_SHA256]);
        assert!(suites("TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256").is_err());
    }
}
