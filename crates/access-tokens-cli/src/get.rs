//! `access-tokens get`: settings to a client, one exchange, the token printed.

use std::{
    env,
    error::Error as _,
    fs,
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use access_tokens::{AccessToken, Error, Identity, TokenEndpoint, assertion::ClientAssertion, onence, worldline};
use access_tokens_config::Source;

use crate::{
    arguments::{GetArguments, OnenceArguments, OutputArguments, Provider, WorldlineArguments},
    config,
    failure::{Failure, Settings, warn},
    output,
};

fn onence_settings() -> Settings {
    Settings { credentials: "ONENCE_USERNAME, ONENCE_PASSWORD".to_owned(), request: "ONENCE_BASE_URL".to_owned() }
}

fn worldline_settings() -> Settings {
    Settings {
        credentials: "WORLDLINE_CLIENT_ID, WORLDLINE_CLIENT_SECRET (or WORLDLINE_SIGNING_KEY, WORLDLINE_SIGNING_CERT)"
            .to_owned(),
        request: "WORLDLINE_SCOPE, WORLDLINE_REALM, WORLDLINE_BASE_URL".to_owned(),
    }
}

pub(crate) async fn run(arguments: GetArguments) -> Result<(), Failure> {
    match arguments.provider {
        Some(Provider::Onence(arguments)) => get(&onence(&arguments)?, onence_settings(), &arguments.output).await,
        Some(Provider::Worldline(arguments)) => {
            get(&worldline(&arguments)?, worldline_settings(), &arguments.output).await
        }
        None => {
            let source = config::one(&arguments.config, arguments.source.as_deref())?;
            let settings = config::settings(&source);
            if source.store().is_none() || arguments.fresh {
                return get(&source.endpoint()?, settings, &arguments.output).await;
            }
            let token = shared(&source).await?.map_err(|error| Failure::Token { error, settings })?;
            print(source.provider(), &token, &arguments.output)
        }
    }
}

async fn get(client: &dyn TokenEndpoint, settings: Settings, output: &OutputArguments) -> Result<(), Failure> {
    let provider = client.provider();
    let token = answer(provider, client.exchange()).await.map_err(|error| Failure::Token { error, settings })?;
    print(provider, &token, output)
}

/// The token that the fleet has, or else one that it has from then on.
async fn shared(source: &Source) -> Result<Result<Arc<AccessToken>, Error>, Failure> {
    let cache = source.cache()?;
    let token = answer(source.provider(), cache.token()).await.map(|token| token.to_owned());
    // Waits until the store has it.
    cache.shutdown().await;
    Ok(token)
}

fn print(provider: &str, token: &AccessToken, output: &OutputArguments) -> Result<(), Failure> {
    if !token.missing_scopes().is_empty() {
        let name = output::name(provider);
        warn(&format!("{name} didn't grant {}; check the subscription's scopes", token.missing_scopes()));
    }
    output::token(provider, token, output.format)
}

/// Waits for the answer of a provider; after two seconds of it, a word to whoever sits and waits, too.
pub(crate) async fn answer<T>(provider: &str, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        () = tokio::time::sleep(Duration::from_secs(2)), if stderr().is_terminal() => {
            warn(&format!("still waiting for {}", output::name(provider)));
            answer.await
        }
    }
}

fn onence(arguments: &OnenceArguments) -> Result<onence::Client, Failure> {
    let mut missing = Missing("onence", Vec::new());
    let username = missing.setting(&arguments.username, "ONENCE_USERNAME", "--username");
    let password = secret("ONENCE_PASSWORD", &arguments.password_file)?;
    let password = missing.setting(&password, "ONENCE_PASSWORD", "ONENCE_PASSWORD_FILE");
    missing.none()?;

    let mut builder = onence::Client::builder(onence::Credentials::new(username, password));
    if let Some(base_url) = set(&arguments.base_url) {
        builder = builder.base_url(base_url);
    }
    builder.build().map_err(|error| Failure::Token { error, settings: onence_settings() })
}

fn worldline(arguments: &WorldlineArguments) -> Result<worldline::Client, Failure> {
    let setting = |variable: &'static str| move |error| Failure::Setting(format!("{variable}: {error}"));
    let mut missing = Missing("worldline", Vec::new());
    let base_url = missing.setting(&arguments.base_url, "WORLDLINE_BASE_URL", "--base-url");
    let realm = missing.setting(&arguments.realm, "WORLDLINE_REALM", "--realm");
    let client_id = missing.setting(&arguments.client_id, "WORLDLINE_CLIENT_ID", "--client-id");
    let scope = missing.setting(&arguments.scope, "WORLDLINE_SCOPE", "--scope");
    let client_secret = secret("WORLDLINE_CLIENT_SECRET", &arguments.client_secret_file)?;
    let key = (path(&arguments.signing_key), path(&arguments.signing_cert));
    let credentials: worldline::Credentials = match (client_secret, key) {
        (Some(_), (Some(_), _) | (_, Some(_))) => {
            return Err(Failure::Setting(
                "both a client secret (WORLDLINE_CLIENT_SECRET, WORLDLINE_CLIENT_SECRET_FILE) and a signing key \
                 (WORLDLINE_SIGNING_KEY, WORLDLINE_SIGNING_CERT) are set; unset one of them"
                    .to_owned(),
            ));
        }
        (Some(client_secret), (None, None)) => {
            missing.none()?;
            worldline::ClientSecret::new(client_id, client_secret).into()
        }
        (None, (None, None)) => {
            missing.add("WORLDLINE_CLIENT_SECRET (or WORLDLINE_CLIENT_SECRET_FILE, or WORLDLINE_SIGNING_KEY with WORLDLINE_SIGNING_CERT)");
            return Err(missing.failure());
        }
        (None, (key, certificate)) => {
            let passphrase = secret("WORLDLINE_SIGNING_KEY_PASSPHRASE", &arguments.signing_key_passphrase_file)?;
            let identity = match (key, certificate) {
                (Some(key), None) if is_bundle(key)? => {
                    missing.none()?;
                    Identity::read_pkcs12(key, passphrase.as_deref().unwrap_or_default())
                }
                (Some(key), Some(certificate)) => {
                    missing.none()?;
                    let (key, certificate) =
                        (checked(key, "WORLDLINE_SIGNING_KEY")?, checked(certificate, "WORLDLINE_SIGNING_CERT")?);
                    match passphrase {
                        Some(passphrase) => Identity::read_encrypted(key, certificate, &passphrase),
                        None => Identity::read(key, certificate),
                    }
                }
                (key, _) => {
                    let (variable, flag) = match key {
                        Some(_) => ("WORLDLINE_SIGNING_CERT", "--signing-cert"),
                        None => ("WORLDLINE_SIGNING_KEY", "--signing-key"),
                    };
                    missing.add(&format!("{variable} (or {flag})"));
                    return Err(missing.failure());
                }
            };
            identity
                .and_then(|identity| ClientAssertion::new(client_id, identity))
                .map_err(|error| {
                    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                    let encrypted = "WORLDLINE_SIGNING_KEY_PASSPHRASE has that of an encrypted key";
                    let text = format!("WORLDLINE_SIGNING_KEY, WORLDLINE_SIGNING_CERT: {error}{cause}");
                    Failure::Setting(if error.to_string().contains("passphrase") {
                        format!("{text}; {encrypted}")
                    } else {
                        text
                    })
                })?
                .into()
        }
    };
    let realm = worldline::Realm::new(realm).map_err(setting("WORLDLINE_REALM"))?;
    let scopes = scope.parse().map_err(setting("WORLDLINE_SCOPE"))?;
    worldline::Client::builder(base_url, realm, scopes, credentials)
        .build()
        .map_err(|error| Failure::Token { error, settings: worldline_settings() })
}

/// The provider, and its settings that aren't there, told all at once.
struct Missing(&'static str, Vec<String>);

impl Missing {
    fn setting(&mut self, value: &Option<String>, variable: &str, otherwise: &str) -> String {
        set(value).unwrap_or_else(|| {
            self.add(&format!("{variable} (or {otherwise})"));
            String::new()
        })
    }

    fn add(&mut self, what: &str) {
        self.1.push(what.to_owned());
    }

    fn none(&self) -> Result<(), Failure> {
        if self.1.is_empty() { Ok(()) } else { Err(self.failure()) }
    }

    fn failure(&self) -> Failure {
        Failure::Setting(format!("not set: {}; see `access-tokens get {} --help`", self.1.join(", "), self.0))
    }
}

/// An empty variable counts as unset: that is how many systems unset one.
fn set(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

fn path(value: &Option<PathBuf>) -> Option<&Path> {
    value.as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// A secret from its variable or its file.
fn secret(variable: &str, file: &Option<PathBuf>) -> Result<Option<String>, Failure> {
    let from_environment = match env::var(variable) {
        Ok(value) => set(&Some(value)),
        Err(env::VarError::NotPresent) => None,
        Err(env::VarError::NotUnicode(_)) => return Err(Failure::Setting(format!("{variable} isn't UTF-8"))),
    };
    match (from_environment, path(file)) {
        (Some(_), Some(_)) => Err(Failure::Setting(format!(
            "both {variable} and a file for it ({variable}_FILE or its flag) are set; unset one of them"
        ))),
        (None, Some(path)) => {
            // Not the path: a secret in its place is an easy mistake, and not one to be repeated on a screen.
            let failed =
                |what: String| Failure::Setting(format!("the file that {variable}_FILE or its flag names: {what}"));
            let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
            let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
            if text.is_empty() {
                return Err(failed("is empty".to_owned()));
            }
            Ok(Some(text.to_owned()))
        }
        (value, None) => Ok(value),
    }
}

/// Whether a file without a certificate beside it is a PKCS#12 bundle: by its name, or since it isn't PEM.
fn is_bundle(path: &Path) -> Result<bool, Failure> {
    let path = checked(path, "WORLDLINE_SIGNING_KEY")?;
    let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("p12") || end.eq_ignore_ascii_case("pfx"));
    let pem = |bytes: Vec<u8>| bytes.windows(10).any(|part| part == b"-----BEGIN");
    // What can't be read is told when it is opened.
    Ok(named || fs::read(path).is_ok_and(|bytes| !pem(bytes)))
}

/// The path of a key or a certificate, if it is one.
fn checked<'a>(path: &'a Path, variable: &str) -> Result<&'a Path, Failure> {
    // As for a secret, but only a key itself is one; its path helps.
    let text = path.to_string_lossy();
    if text.contains("-----BEGIN") || text.contains(char::is_control) {
        return Err(Failure::Setting(format!("{variable}: takes the path of a file, not what is in it")));
    }
    Ok(path)
}
