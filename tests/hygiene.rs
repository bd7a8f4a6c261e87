//! No secret in any `Debug`, `Display`, error chain or log line, whatever the server answers.
#![cfg(test)]

mod support;

use std::{
    error::Error as _,
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
};

use access_tokens::{
    Error, Identity, TokenCache, TokenEndpoint, Transport,
    assertion::ClientAssertion,
    onence,
    store::{KeyRing, SharedStore},
    testing::MemoryStore,
    worldline,
};
use access_tokens_raw::{onence as raw_onence, worldline as raw_worldline};
use access_tokens_sandbox::Sandbox;
use serde_json::json as value;
use support::{CLIENT_SECRET, PASSWORD, Server, USERNAME, answer, json, token_response};

// As long as a short real one, for what a server says is cleaned of words too long to be any.
const TOKEN: &str = "eyJ.planted-token-0123456789-0123456789-0123456789-0123456789-0123456789.sig";
/// What they look like on the wire.
const BASIC: &str = "YUBiLmV4YW1wbGU6b3BlbiBzZXNhbWU6IHBsYW50ZWQtcGFzc3dvcmQ=";
const ENCODED_SECRET: &str = "p%40ss+w%2Brd%26%3D%25%C3%A9";
const ID_TOKEN: &str = "eyJ.planted-id-token.sig";
/// Of the encrypted keys in tests/fixtures/keys, and one that isn't.
const PASSPHRASE: &str = "test key: öffne dich";
const STORE_NAME_KEY: &[u8] = b"planted-store-name-key-012345678";
const STORE_KEY: &[u8] = b"planted-store-key-01234567890123";

const WRONG_PASSPHRASE: &str = "open sesame: planted-passphrase";

#[tokio::test]
async fn nothing_shows_a_secret() {
    let log = Log::install();
    let keys = Sandbox::start().await.unwrap();
    let key = keys.signing_key_pem();
    let identity = Identity::new(key, Some(keys.signing_cert_pem().as_ref()), None).unwrap();
    let assertion = || ClientAssertion::new("planted-client", identity.clone()).unwrap();
    let mut shown = String::new();

    let mut assertions = Vec::new();
    for secret in [PASSWORD, CLIENT_SECRET, TOKEN] {
        for answer in answers(secret) {
            let server = Server::answering(answer).await;
            let client: Arc<dyn TokenEndpoint> = match secret {
                PASSWORD => Arc::new(server.onence()),
                CLIENT_SECRET => Arc::new(server.worldline()),
                _ => Arc::new(server.worldline_with(assertion())),
            };
            let store = SharedStore::new(MemoryStore::new(), KeyRing::new(STORE_NAME_KEY, [STORE_KEY]).unwrap());
            let cache = TokenCache::builder(client.clone()).store(store.clone()).build().unwrap();
            let outcome = cache.token().await;
            cache.shutdown().await;
            // What another instance takes, or is told.
            let another = TokenCache::builder(client.clone()).store(store.clone()).build().unwrap();
            let shared = another.token().await;
            write!(shown, "{client:?} {client:#?} {outcome:?} {outcome:#?} {cache:?} {cache:#?}").unwrap();
            write!(shown, "{store:?} {store:#?} {another:?} {shared:?} {shared:#?}").unwrap();
            if let Err(error) = outcome {
                show_chain(&error, &mut shown);
            }
            assertions.extend(server.requests().iter().filter_map(|request| {
                Some(request.split_once("client_assertion=")?.1.split('&').next()?.rsplit('.').next()?.to_owned())
            }));
        }
    }
    let nobody = onence::Client::builder(onence::Credentials::new(USERNAME, PASSWORD)).base_url("http://127.0.0.1:1");
    let refused = onence::Client::builder(onence::Credentials::new(USERNAME, PASSWORD))
        .base_url(format!("https://user:{PASSWORD}@api.example"));
    write!(shown, "{nobody:?} {refused:?}").unwrap();
    write!(shown, "{:?}", nobody.token_id()).unwrap();
    show_chain(&nobody.build().unwrap().exchange().await.unwrap_err(), &mut shown);
    show_configuration(key, keys.signing_cert_pem(), &mut shown);
    let decrypted = show_encrypted(&mut shown).await;

    // The needles: the secrets, and what they look like on the wire.
    let key_line = key.lines().nth(3).unwrap();
    assert!(assertions.len() >= 10, "{}", assertions.len());
    let needles = [
        PASSWORD,
        CLIENT_SECRET,
        TOKEN,
        ID_TOKEN,
        BASIC,
        key_line,
        ENCODED_SECRET,
        "planted-password",
        "p@ss w+rd",
        "p%40ss%20w",
        "open%20sesame",
        "p@ss\tw",
        "öffne dich",
        "planted-passphrase",
        "planted-store",
        "[112, 108, 97, 110",
    ];
    let needles = needles.into_iter().chain(assertions.iter().chain(&decrypted).map(String::as_str));
    let logged = log.text();
    assert!(logged.contains("TRACE") && logged.contains("DEBUG"), "the log is there to be searched");
    for needle in needles {
        for (what, text) in [("shown", &shown), ("logged", &logged)] {
            if let Some(place) = text.find(needle) {
                let from = text.split_at(place).0.char_indices().rev().nth(200).map_or(0, |(index, _)| index);
                panic!("{needle} is {what}: {}", text.get(from..place + needle.len()).unwrap());
            }
        }
    }
}

/// As it would stand in a URL.
fn in_url(secret: &str) -> String {
    secret
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._*".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// What a server may send that holds the token or gives the secret back.
fn answers(secret: &str) -> Vec<Vec<u8>> {
    let on_the_wire = match secret {
        PASSWORD => BASIC,
        CLIENT_SECRET => ENCODED_SECRET,
        other => other,
    };
    let echo =
        value!({ "errorCode": secret, "error": secret, "message": format!("no {secret}, no {}, no {}, no {on_the_wire}, no {TOKEN}", secret.replace(' ', "\t"), in_url(secret)) }).to_string();
    vec![
        token_response(value!({ "access_token": TOKEN, "id_token": ID_TOKEN })),
        token_response(value!({ "access_token": TOKEN, "scope": "OTHER", "expires_in": "never" })),
        token_response(value!({ "access_token": TOKEN, "token_type": TOKEN })),
        token_response(value!({ "access_token": TOKEN, "scope": format!("VOP {secret} {TOKEN} x{on_the_wire}") })),
        json(200, &format!(r#"{{"access_token":["{TOKEN}"],"token_type":"bearer"}}"#)),
        json(200, &format!(r#"{{"access_token":"{TOKEN}""#)),
        answer(200, &["content-type: text/html"], TOKEN),
        json(400, &echo),
        json(401, &echo),
        answer(307, &[&format!("location: http://127.0.0.1:1/{TOKEN}")], TOKEN),
        answer(503, &[&format!("retry-after: {TOKEN}")], TOKEN),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{{\"access_token\":\"{TOKEN}\"").into_bytes(),
        b"garbage".to_vec(),
    ]
}

#[tokio::test]
async fn a_200_that_cant_be_parsed_shows_nothing_of_itself() {
    let server = Server::answering(json(200, &format!(r#"{{"access_token":17,"refresh_token":"{TOKEN}"}}"#))).await;
    let error = server.onence().exchange().await.unwrap_err();
    let mut shown = String::new();
    show_chain(&error, &mut shown);
    assert!(!shown.contains("planted"), "{shown}");
    assert!(error.to_string().contains("at line 1, column 18 of"), "{error}");
}

#[test]
fn raw_types_show_no_secret() {
    let onence: raw_onence::types::BearerToken200 =
        serde_json::from_value(value!({ "access_token": TOKEN, "id_token": ID_TOKEN, "more": [{ "deep": TOKEN }] }))
            .unwrap();
    let worldline: raw_worldline::types::TokenResponse =
        serde_json::from_value(value!({ "access_token": TOKEN, "id_token": ID_TOKEN })).unwrap();
    let secret: raw_worldline::types::PosttokenBody = serde_json::from_value(
        value!({ "grant_type": "g", "scope": "s", "client_id": "i", "client_secret": "planted" }),
    )
    .unwrap();
    let assertion: raw_worldline::types::PosttokenBody = serde_json::from_value(
        value!({ "grant_type": "g", "scope": "s", "client_assertion_type": "t", "client_assertion": "planted" }),
    )
    .unwrap();
    let shown = format!("{onence:?} {worldline:?} {secret:?} {assertion:?}");
    assert!(!shown.contains("planted") && !shown.contains("eyJ"), "{shown}");
    // A header isn't shown either, where a library logs headers.
    let basic = access_tokens_raw::hooks::Authentication::basic("user", "planted").unwrap();
    let header = access_tokens_raw::Secret::from("planted".to_owned()).into_header().unwrap();
    assert_eq!(format!("{basic:?} {header:?}"), "Authentication([redacted]) Sensitive");
    // They were there.
    assert_eq!(onence.access_token.unwrap().expose(), TOKEN);
    assert_eq!(worldline.extra["id_token"].expose(), ID_TOKEN);
}

fn show_chain(error: &Error, shown: &mut String) {
    write!(shown, "{error} {error:#} {error:?} {error:#?} {:?}", error.description()).unwrap();
    let mut source = error.source();
    while let Some(error) = source {
        write!(shown, "{error} {error:#} {error:?} {error:#?}").unwrap();
        source = error.source();
    }
}

fn show_configuration(key: &str, certificate: &str, shown: &mut String) {
    let transport = Transport::new()
        .proxy(format!("http://user:{PASSWORD}@proxy.example:3128"))
        .identity(Identity::new(key, Some(certificate.as_ref()), None).unwrap())
        .add_roots_pem(certificate);
    write!(shown, "{transport:?} {:?}", onence::Credentials::new(USERNAME, PASSWORD)).unwrap();
    write!(shown, "{:?}", worldline::ClientSecret::new("id", CLIENT_SECRET)).unwrap();
    let assertion = ClientAssertion::new("id", Identity::new(key, Some(certificate.as_ref()), None).unwrap()).unwrap();
    write!(shown, "{:?} {assertion:?}", worldline::Credentials::from(assertion.clone())).unwrap();
    for (key, certificate) in [(certificate, key), (key, key), (key.split_at(key.len() / 2).0, certificate)] {
        show_chain(&Identity::new(key, Some(certificate.as_ref()), None).unwrap_err(), shown);
    }
    for (username, password) in [("a:b", PASSWORD), ("a", "open sesame: planted-password\n"), ("", PASSWORD)] {
        let credentials = onence::Credentials::new(username, password);
        show_chain(&onence::Client::new(credentials).unwrap_err(), shown);
    }
    let bad = Transport::new().proxy(format!("::{PASSWORD}"));
    let credentials = onence::Credentials::new(USERNAME, PASSWORD);
    show_chain(&onence::Client::builder(credentials).transport(bad).build().unwrap_err(), shown);
}

/// Encrypted keys, opened and not. Returns what the decrypted key looks like, and what it signed.
async fn show_encrypted(shown: &mut String) -> Vec<String> {
    let fixture = |name: &str| std::fs::read(format!("tests/fixtures/keys/{name}")).unwrap();
    let certificate = fixture("rsa.certificate.pem");
    let mut needles = Vec::new();
    for (name, passphrase) in [
        ("rsa.pkcs8-aes.pem", PASSPHRASE),
        ("rsa.modern.p12", PASSPHRASE),
        ("rsa.legacy.p12", PASSPHRASE),
        ("rsa.pkcs8-aes.pem", WRONG_PASSPHRASE),
        ("rsa.pkcs8-scrypt.der", WRONG_PASSPHRASE),
        ("rsa.modern.p12", WRONG_PASSPHRASE),
        ("rsa.legacy.p12", WRONG_PASSPHRASE),
        ("wrong.old-encryption.pem", PASSPHRASE),
        ("wrong.pbes1.pem", PASSPHRASE),
        ("wrong.rc4.p12", PASSPHRASE),
        ("wrong.without-certificate.p12", PASSPHRASE),
    ] {
        let whole = fixture(name);
        for content in [&whole[..], &whole[..whole.len() - 40]] {
            let identity = if name.ends_with("p12") {
                Identity::new(content, None, Some(passphrase))
            } else {
                Identity::new(content, Some(certificate.as_ref()), Some(passphrase))
            };
            write!(shown, "{identity:?} {identity:#?}").unwrap();
            let Ok(identity) = identity.map_err(|error| show_chain(&error, shown)) else { continue };
            let server = Server::answering(token_response(value!({ "access_token": TOKEN }))).await;
            let client = server.worldline_with(ClientAssertion::new("planted-client", identity).unwrap());
            write!(shown, "{client:?} {:?}", client.exchange().await).unwrap();
            let request = server.requests().concat();
            let (_, assertion) = request.split_once("client_assertion=").unwrap();
            let assertion = assertion.split('&').next().unwrap();
            needles.extend([assertion.to_owned(), assertion.rsplit('.').next().unwrap().to_owned()]);
        }
    }
    assert_eq!(needles.len(), 6, "three of them open");
    // In PEM, and in numbers.
    let pem = String::from_utf8(fixture("rsa.pkcs8.pem")).unwrap();
    needles.extend(pem.lines().skip(1).take(20).map(str::to_owned));
    needles.extend(fixture("rsa.pkcs8.der")[300..].chunks(8).map(|bytes| format!("{bytes:?}").replace(['[', ']'], "")));
    needles
}

/// Every line of `tracing` and `log`, down to TRACE.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn install() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
