//! The session against rustls' own client, with the bytes between them cut anywhere.

use super::*;
use crate::base::rng::Rng;
use std::io::{self, Read, Write};
use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion};

/// An authority, and a folder with what it has signed.
struct Authority {
    folder: tempfile::TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Authority {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed");
        let folder = tempfile::tempdir().expect("a scratch folder");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        let certificate = certificate.der().clone();
        Authority { folder, issuer: rcgen::Issuer::new(params, key), certificate }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate and its key, and returns them.
    fn sign(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }

    fn settings(&self) -> TlsSettings {
        self.sign("server");
        TlsSettings {
            cert_file: self.path("server.pem"),
            key_file: self.path("server.key"),
            ca_file: self.path("ca.pem"),
            session_caching: true,
            session_cache_timeout_s: 300,
            ..TlsSettings::default()
        }
    }

    fn client_config(&self, versions: &[&'static SupportedProtocolVersion], with_certificate: bool) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        if with_certificate {
            let (certificate, key) = self.sign("client");
            return builder.with_client_auth_cert(vec![certificate], key).expect("a key that fits");
        }
        builder.with_no_client_auth()
    }
}

/// Both ends, and what is on the way between them.
struct Pair {
    server: TlsSession,
    client: ClientConnection,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// What the server has decrypted.
    heard: Vec<u8>,
    established: bool,
    rng: Rng,
}

impl Pair {
    fn new(context: &TlsContext, auth: ClientAuth, config: &Arc<ClientConfig>, seed: u64) -> Pair {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(config.clone(), name).expect("a client");
        client.set_buffer_limit(None);
        let server = context.accept(auth).expect("authorities").expect("a session");
        Pair {
            server,
            client,
            to_server: Vec::new(),
            to_client: Vec::new(),
            heard: Vec::new(),
            established: false,
            rng: Rng::seeded(seed),
        }
    }

    /// Carries bytes in pieces of any size until nothing moves. Returns what the client was told.
    fn carry(&mut self) -> Result<Vec<u8>, String> {
        let mut told = Vec::new();
        loop {
            while self.client.wants_write() {
                self.client.write_tls(&mut self.to_server).expect("into memory");
            }
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return Ok(told);
            }
            let len = self.piece(self.to_server.len());
            let mut piece = self.to_server.drain(..len).collect::<Vec<_>>();
            if !piece.is_empty() {
                let progress = self.server.receive(&mut piece, &mut self.heard, &mut self.to_client);
                self.established |= progress.map_err(|error| error.to_string())?.established;
            }
            let len = self.piece(self.to_client.len());
            let piece = self.to_client.drain(..len).collect::<Vec<_>>();
            let mut rest = &piece[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).expect("from memory");
                self.client.process_new_packets().map_err(|error| error.to_string())?;
                match self.client.reader().read_to_end(&mut told) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        }
    }

    fn piece(&mut self, len: usize) -> usize {
        let most = [1, 7, 100, 5000, 70_000][self.rng.below(5) as usize].min(len as u64);
        if most == 0 { 0 } else { 1 + self.rng.below(most) as usize }
    }

    fn say(&mut self, text: &[u8]) {
        self.client.writer().write_all(text).expect("into memory");
    }

    fn answer(&mut self, text: &[u8]) {
        self.server.seal_onto(text, &mut self.to_client).expect("sealed");
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn bytes_cut_anywhere_come_out_whole() {
    let authority = Authority::new();
    let context = TlsContext::load(&authority.settings()).expect("a context");
    let text = (0..200_000u32).map(|number| (number % 251) as u8).collect::<Vec<_>>();
    for version in BOTH {
        let config = Arc::new(authority.client_config(&[version], true));
        for seed in 0..12 {
            let auth = [ClientAuth::No, ClientAuth::Optional, ClientAuth::Yes][seed as usize % 3];
            let mut pair = Pair::new(&context, auth, &config, seed);
            pair.carry().expect("shaken");
            assert!(pair.established);
            let mut said = 0;
            while said < text.len() {
                let len = pair.piece(text.len() - said);
                pair.say(&text[said..said + len]);
                let reply = &text[..pair.piece(40_000)];
                pair.answer(reply);
                assert_eq!(pair.carry().expect("carried"), reply);
                said += len;
                assert_eq!(pair.heard.len(), said);
            }
            assert!(pair.heard == text, "seed {seed}");
            assert!(pair.server.carry.is_empty());
            assert!(pair.server.memory() <= size_of::<TlsSession>() + CARRY_KEPT_MAX);
        }
    }
}

#[test]
fn one_record_carries_a_reply_and_its_length_is_known() {
    let authority = Authority::new();
    let context = TlsContext::load(&authority.settings()).expect("a context");
    for version in BOTH {
        let config = Arc::new(authority.client_config(&[version], false));
        let mut pair = Pair::new(&context, ClientAuth::No, &config, 1);
        pair.carry().expect("shaken");
        for len in [1, 100, RECORD_PLAIN_MAX, RECORD_PLAIN_MAX + 1, 5 * RECORD_PLAIN_MAX] {
            let text = vec![b'x'; len];
            let mut out = vec![0; sealed_len_max(len)];
            let sealed = pair.server.seal(&text, &mut out).expect("room");
            let records = len.div_ceil(RECORD_PLAIN_MAX);
            assert!(sealed > len && sealed <= len + records * RECORD_OVERHEAD_MAX, "{len}: {sealed}");
            pair.to_client.extend_from_slice(&out[..sealed]);
            assert_eq!(pair.carry().expect("carried"), text);
        }
    }
}

#[test]
fn keys_change_when_the_peer_wants_it() {
    let authority = Authority::new();
    let context = TlsContext::load(&authority.settings()).expect("a context");
    let config = Arc::new(authority.client_config(&[BOTH[1]], false));
    for seed in 0..8 {
        let mut pair = Pair::new(&context, ClientAuth::No, &config, seed);
        pair.carry().expect("shaken");
        for round in 1..=3 {
            pair.say(b"before ");
            pair.client.refresh_traffic_keys().expect("established");
            pair.say(b"after ");
            let told = pair.carry().expect("carried");
            assert_eq!((told, pair.heard.len()), (Vec::new(), round * b"before after ".len()));
            pair.answer(b"an answer");
            assert_eq!(pair.carry().expect("carried"), b"an answer");
        }
    }
}

#[test]
fn both_ends_say_when_nothing_follows() {
    let authority = Authority::new();
    let context = TlsContext::load(&authority.settings()).expect("a context");
    for version in BOTH {
        let config = Arc::new(authority.client_config(&[version], false));
        let mut pair = Pair::new(&context, ClientAuth::No, &config, 1);
        pair.carry().expect("shaken");
        pair.say(b"last words");
        pair.client.send_close_notify();
        let mut records = Vec::new();
        pair.client.write_tls(&mut records).expect("into memory");
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let progress = pair.server.receive(&mut records, &mut plain, &mut out).expect("fine");
        assert!(progress.closed);
        assert_eq!(plain, b"last words");
        pair.answer(b"heard");
        let farewell = pair.server.close();
        pair.to_client.extend_from_slice(&farewell);
        assert!(!farewell.is_empty());
        let mut rest = &pair.to_client[..];
        while !rest.is_empty() {
            pair.client.read_tls(&mut rest).expect("from memory");
        }
        assert!(pair.client.process_new_packets().expect("fine").peer_has_closed());
    }
    let mut unused = context.accept(ClientAuth::No).expect("no authorities needed").expect("a session");
    assert_eq!(unused.close(), b"");
}

#[test]
fn what_is_no_handshake_is_refused() {
    let authority = Authority::new();
    let context = TlsContext::load(&authority.settings()).expect("a context");
    for (bytes, wanted, answer) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], "wrong version number", &b""[..]),
        (b"PING\r\nPING\r\n", "wrong version number", b""),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "", b"\x15\x03"),
    ] {
        let mut session = context.accept(ClientAuth::No).expect("no authorities needed").expect("a session");
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let error = session.receive(&mut bytes.to_vec(), &mut plain, &mut out).expect_err("no handshake").to_string();
        assert!(error.contains(wanted), "{error}");
        assert_eq!((plain, &out[..out.len().min(2)]), (Vec::new(), answer));
        assert!(session.receive(&mut b"more".to_vec(), &mut Vec::new(), &mut Vec::new()).is_err());
    }
    let other = Authority::new();
    for (config, auth, reason) in [
        (authority.client_config(BOTH, false), ClientAuth::Yes, "peer did not return a certificate"),
        (stranger(&authority, &other), ClientAuth::Yes, "certificate verify failed"),
        (stranger(&authority, &other), ClientAuth::Optional, "certificate verify failed"),
    ] {
        let mut pair = Pair::new(&context, auth, &Arc::new(config), 1);
        let error = pair.carry().expect_err("refused");
        assert!(error.contains(reason), "{error}");
        assert!(!pair.established && !pair.to_client.is_empty());
    }
}

/// A client that trusts one authority and shows a certificate of another.
fn stranger(trusted: &Authority, own: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).expect("an authority");
    let (certificate, key) = own.sign("stranger");
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(BOTH)
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .expect("a key that fits")
}

#[test]
fn sessions_are_taken_up_again_only_where_they_are_cached() {
    let authority = Authority::new();
    let settings = authority.settings();
    for (caching, version) in [(true, BOTH[0]), (true, BOTH[1]), (false, BOTH[0]), (false, BOTH[1])] {
        let context =
            TlsContext::load(&TlsSettings { session_caching: caching, ..settings.clone() }).expect("a context");
        let config = Arc::new(authority.client_config(&[version], true));
        let mut kinds = Vec::new();
        for auth in [ClientAuth::No, ClientAuth::No, ClientAuth::Yes, ClientAuth::Yes] {
            let mut pair = Pair::new(&context, auth, &config, 3);
            pair.carry().expect("shaken");
            kinds.push(pair.client.handshake_kind());
        }
        let (full, again) = (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed));
        // A session without a certificate is none where one is needed.
        let wanted = if caching { [full, again, full, again] } else { [full; 4] };
        assert_eq!(kinds, wanted, "{version:?}");
    }
}

#[test]
fn files_are_refused_in_redis_words() {
    let authority = Authority::new();
    let good = authority.settings();
    let other = authority.path("other.key");
    std::fs::write(&other, rcgen::KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    let refused = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        TlsContext::load(&settings).err().expect("refused").to_string()
    };
    let missing = Path::new("/no/such/file");
    assert_eq!(refused(&|settings| settings.cert_file = "".into()), "No tls-cert-file configured!");
    assert_eq!(refused(&|settings| settings.key_file = "".into()), "No tls-key-file configured!");
    assert_eq!(
        refused(&|settings| settings.cert_file = missing.into()),
        "Failed to load certificate: /no/such/file: No such file or directory"
    );
    assert!(refused(&|settings| settings.cert_file = other.clone()).ends_with("other.key: no start line"));
    assert!(refused(&|settings| settings.key_file = good.cert_file.clone()).ends_with("server.pem: no start line"));
    assert!(refused(&|settings| settings.key_file = other.clone()).ends_with("other.key: key values mismatch"));
    assert_eq!(
        refused(&|settings| settings.ca_file = missing.into()),
        "Failed to configure CA certificate(s) file/directory: No such file or directory"
    );
    let needs_authorities = |settings: &mut TlsSettings| {
        settings.ca_file = "".into();
        settings.needs_authorities = true;
    };
    assert!(refused(&needs_authorities).starts_with("Either tls-ca-cert-file or tls-ca-cert-dir must be specified"));
    let protocols = |text: &'static str| refused(&move |settings| settings.protocols = text.to_owned());
    assert!(protocols("TLSv1.3,TLSv1.2").starts_with("Invalid tls-protocols specified. Use a combination of"));
    assert!(protocols("TLSv1.1").starts_with("None of the specified tls-protocols is secure"));
    let ciphers = |text: &'static str| refused(&move |settings| settings.ciphers = text.to_owned());
    assert!(ciphers("AES128-SHA").starts_with("Failed to configure ciphers: AES128-SHA has no counterpart"));
    assert_eq!(ciphers("LOW"), "Failed to configure ciphers: LOW");
    let suites = refused(&|settings| settings.ciphersuites = "nosuch".to_owned());
    assert!(suites.starts_with("Failed to configure ciphersuites: nosuch has no counterpart"), "{suites}");
}

#[test]
fn a_folder_of_authorities_is_as_good_as_a_file() {
    let authority = Authority::new();
    let mut settings = authority.settings();
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("unreadable"), b"no certificate").expect("written");
    settings.ca_file = "".into();
    settings.ca_folder = folder.path().to_owned();
    let context = TlsContext::load(&settings).expect("a context");
    assert!(context.accept(ClientAuth::Yes).is_none(), "nobody could vouch for anybody");
    std::fs::copy(authority.path("ca.pem"), folder.path().join("1234abcd.0")).expect("copied");
    let context = TlsContext::load(&settings).expect("a context");
    let config = Arc::new(authority.client_config(BOTH, true));
    let mut pair = Pair::new(&context, ClientAuth::Yes, &config, 1);
    pair.carry().expect("shaken");
    assert!(pair.established);
}

#[test]
fn keys_open_with_their_password_only() {
    let authority = Authority::new();
    let mut settings = authority.settings();
    let key = std::fs::read(&settings.key_file).expect("there");
    let (_, document) = pkcs8::SecretDocument::from_pem(&String::from_utf8_lossy(&key)).expect("a key");
    let info = pkcs8::PrivateKeyInfoRef::try_from(document.as_bytes()).expect("a key");
    let scheme = pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, b"saltsalt", [7; 16]);
    let sealed = info.encrypt_with_params(scheme.expect("a scheme"), "secret").expect("encrypted");
    let text = sealed.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("text");
    settings.key_file = authority.path("sealed.key");
    std::fs::write(&settings.key_file, text.as_bytes()).expect("written");
    for (password, opens) in [("secret", true), ("", false), ("wrong", false)] {
        settings.key_password = password.into();
        match TlsContext::load(&settings) {
            Ok(_) => assert!(opens, "{password:?}"),
            Err(error) => assert!(!opens && error.to_string().ends_with("sealed.key: bad decrypt"), "{error}"),
        }
    }
    std::fs::write(&settings.key_file, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n").expect("written");
    let error = TlsContext::load(&settings).err().expect("refused").to_string();
    assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
}

#[test]
fn versions_and_ciphers_are_those_that_are_set() {
    let authority = Authority::new();
    let settings = authority.settings();
    let set = |protocols: &str, ciphers: &str, suites: &str| {
        let (protocols, ciphers, ciphersuites) = (protocols.to_owned(), ciphers.to_owned(), suites.to_owned());
        TlsContext::load(&TlsSettings { protocols, ciphers, ciphersuites, ..settings.clone() }).expect("a context")
    };
    let config = Arc::new(authority.client_config(BOTH, false));
    for (context, wanted) in [
        (set("", "", ""), "TLS13_AES_256_GCM_SHA384"),
        (set("", "", "TLS_CHACHA20_POLY1305_SHA256"), "TLS13_CHACHA20_POLY1305_SHA256"),
        (set("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", ""), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (set("TLSv1.2", "CHACHA20", ""), "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ] {
        let mut pair = Pair::new(&context, ClientAuth::No, &config, 1);
        pair.carry().expect("shaken");
        let suite = pair.client.negotiated_cipher_suite().expect("agreed").suite();
        assert_eq!(format!("{suite:?}"), wanted);
    }
    let older = Arc::new(authority.client_config(&[BOTH[0]], false));
    let mut pair = Pair::new(&set("TLSv1.3", "", ""), ClientAuth::No, &older, 1);
    let error = pair.carry().expect_err("refused");
    assert!(error.contains("unsupported protocol") || error.contains("ersion"), "{error}");
    let mut pair = Pair::new(&set("TLSv1.2", "aRSA", ""), ClientAuth::No, &older, 1);
    assert!(pair.carry().is_err(), "no cipher fits the certificate");
}
