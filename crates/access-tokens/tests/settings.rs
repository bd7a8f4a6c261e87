//! What a builder refuses before anything is sent, and which setting its error is about.
#![cfg(test)]

use std::fs;

use access_tokens::{
    Error, ErrorKind, Identity, Policy, Scopes, SecretFile, Setting, TokenCache, Transport,
    assertion::{Audience, ClientAssertion, KeyId, SigningKey},
    onence,
    store::KeyRing,
    testing::FixedEndpoint,
    worldline,
};

const URL: &str = "https://auth.example/auth";

fn onence_with(username: &str, password: &str, base_url: &str) -> Result<(), Error> {
    let credentials = onence::Credentials::new(username, password);
    onence::Client::builder(credentials).base_url(base_url).build().map(|_| ())
}

fn worldline_with(
    base_url: &str,
    realm: &str,
    scopes: &str,
    credentials: impl Into<worldline::Credentials>,
) -> Result<(), Error> {
    let realm = worldline::Realm::new(realm)?;
    worldline::Client::builder(base_url, realm, scopes.parse()?, credentials).build().map(|_| ())
}

/// One text in the place of each setting.
fn each(text: &str) -> Vec<(Setting, Result<(), Error>)> {
    let secret = |id: &str, secret: &str| worldline::ClientSecret::new(id, secret);
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let assertion = |client_id: &str, kid: &str, audience: &str| {
        let assertion = ClientAssertion::with_signer(client_id, SigningKey::new(&key, None)?)?;
        let assertion = assertion.key_id(KeyId::Text(kid.to_owned())).audience(Audience::Text(audience.to_owned()));
        worldline_with(URL, "r", "VOP", assertion)
    };
    let proxied = |proxy: &str| {
        let client = onence::Client::builder(onence::Credentials::new("u", "p"));
        client.transport(Transport::new().proxy(proxy)).build().map(|_| ())
    };
    vec![
        (Setting::Username, onence_with(text, "p", URL)),
        (Setting::Password, onence_with("u", text, URL)),
        (Setting::BaseUrl, onence_with("u", "p", &format!("{URL}{text}"))),
        (Setting::BaseUrl, worldline_with(&format!("{URL}{text}"), "r", "VOP", secret("c", "s"))),
        (Setting::Realm, worldline_with(URL, text, "VOP", secret("c", "s"))),
        (Setting::Scopes, worldline_with(URL, "r", text, secret("c", "s"))),
        (Setting::ClientId, worldline_with(URL, "r", "VOP", secret(text, "s"))),
        (Setting::ClientSecret, worldline_with(URL, "r", "VOP", secret("c", text))),
        (Setting::ClientId, assertion(text, "k", "a")),
        (Setting::KeyId, assertion("c", text, "a")),
        (Setting::Audience, assertion("c", "k", text)),
        (Setting::Proxy, proxied(&format!("http://proxy.example:3128{text}"))),
    ]
}

#[test]
fn characters_that_nobody_sees_are_refused_in_every_setting() {
    for c in [
        '\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2060}',
        '\u{feff}',
    ] {
        for (setting, outcome) in each(&format!("planted{c}text")) {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.setting()), (ErrorKind::Configuration, Some(setting)), "{c:?}: {error}");
            let named = error.to_string().contains(&format!("(U+{:04X})", u32::from(c)));
            // Scopes say which characters they are made of.
            assert!(named || setting == Setting::Scopes, "{setting} {c:?}: {error}");
            assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
        }
    }
}

#[test]
fn what_a_shell_would_have_replaced_is_refused_but_in_secrets() {
    for text in [" planted", "planted ", "\"planted\"", "'planted'", "$PLANTED", "${planted}", "~/planted"] {
        for (setting, outcome) in each(text) {
            let of_urls = [Setting::BaseUrl, Setting::Proxy].contains(&setting);
            match setting {
                Setting::Password | Setting::ClientSecret => assert!(outcome.is_ok(), "{text:?} in {setting}"),
                // A separator, and characters that scopes may have.
                Setting::Scopes => {}
                // Behind the host they are a path.
                _ if of_urls && !text.contains(['$', ' ', '"', '\'']) => {}
                _ => assert_eq!(outcome.unwrap_err().setting(), Some(setting), "{text:?} in {setting}"),
            }
        }
    }
    for (setting, outcome) in each("größer-日本-\u{a0}-x") {
        let is_free = ![Setting::BaseUrl, Setting::Scopes, Setting::Proxy].contains(&setting);
        assert!(!is_free || outcome.is_ok(), "{setting}: {outcome:?}");
    }
}

#[test]
fn a_base_url_that_is_the_token_endpoint_is_answered_with_the_one_to_write() {
    for (given, right) in [
        ("https://api.example/m/oauth/token", "https://api.example/m"),
        ("https://api.example/oauth/token/", "https://api.example"),
        ("https://a.example/auth/realms", "https://a.example/auth"),
        ("https://a.example/auth/realms/r1/", "https://a.example/auth"),
        ("https://a.example/auth/realms/r1/protocol/openid-connect", "https://a.example/auth"),
        ("http://127.0.0.1:8080/auth/realms/r1/protocol/openid-connect/token", "http://127.0.0.1:8080/auth"),
    ] {
        for error in [
            onence_with("u", "p", given).unwrap_err(),
            worldline_with(given, "r", "VOP", worldline::ClientSecret::new("c", "s")).unwrap_err(),
        ] {
            assert_eq!(error.setting(), Some(Setting::BaseUrl));
            assert!(error.to_string().ends_with(&format!("; write {right}")), "{given}: {error}");
        }
    }
    for right in ["https://a.example/auth", "https://a.example/realms-of/auth", "http://[::1]/"] {
        onence_with("u", "p", right).unwrap_or_else(|error| panic!("{right}: {error}"));
    }
}

#[test]
fn scopes_have_spaces_or_commas_between() {
    for text in ["VOP WERO", "VOP,WERO", "VOP, WERO", " WERO ,VOP ", "WERO,VOP,WERO"] {
        assert_eq!(text.parse::<Scopes>().unwrap().to_string(), "VOP WERO", "{text:?}");
    }
}

#[test]
fn an_error_names_the_setting_of_a_policy_or_a_key_ring_and_which_item() {
    let cache = |policy| TokenCache::builder(FixedEndpoint::new("t").unwrap()).policy(policy).build().unwrap_err();
    assert_eq!(cache(Policy::new().refresh_at(2.0)).setting(), Some(Setting::RefreshAt));
    assert_eq!(cache(Policy::new().jitter(0.9)).setting(), Some(Setting::Jitter));
    let (names, first) = ([1; 32], [2; 32]);
    let keys: [&[u8]; 2] = [&first, b"short"];
    let error = KeyRing::new(&names, keys).unwrap_err();
    assert_eq!((error.setting(), error.item()), (Some(Setting::Keys), Some(1)));
    assert_eq!(KeyRing::new(b"short", [first]).unwrap_err().setting(), Some(Setting::NameKey));
}

#[test]
fn a_secret_file_loses_one_line_break_and_is_otherwise_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (content, expected) in [
        (&b"correct horse"[..], Ok("correct horse")),
        (b"correct horse\n", Ok("correct horse")),
        (b"correct horse\r\n", Ok("correct horse")),
        (b" \"$HOME\" \n", Ok(" \"$HOME\" ")),
        (b"planted\n\n", Err("holds a line feed (U+000A); remove it")),
        (b"\xef\xbb\xbfplanted", Err("holds a byte order mark (U+FEFF); remove it")),
        (b"planted\xff", Err("isn't UTF-8; save it as UTF-8")),
        (b"\n", Err("is empty")),
    ] {
        fs::write(&path, content).unwrap();
        let file = SecretFile::read(&path).unwrap();
        match (file.secret(Setting::Password), expected) {
            (Ok(secret), Ok(expected)) => assert_eq!(secret, expected),
            (Err(error), Err(expected)) => {
                assert_eq!(error.to_string(), format!("the password in {} {expected}", path.display()));
                assert!(!format!("{error:?} {file:?}").contains("planted"));
            }
            (outcome, _) => panic!("{content:?}: {outcome:?}"),
        }
    }
}

#[test]
fn files_of_keys_that_cant_be_read_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere.pem");
    for (path, reason) in [(folder.path(), "it is a folder"), (&missing, "No such file")] {
        for error in
            [Identity::read(path, Some(path), None).unwrap_err(), SigningKey::read(path, None).map(|_| ()).unwrap_err()]
        {
            let text = error.to_string();
            assert!(text.contains(path.to_str().unwrap()) && text.contains(reason), "{text}");
            assert_eq!(error.setting(), Some(Setting::Key));
        }
    }
}
