//! `access-tokens sandbox`: both token endpoints on this machine until it is interrupted.

use std::{
    error::Error as _,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use access_tokens::{SecretFile, Setting, onence::Credentials};
use access_tokens_sandbox::{
    ClientAuth, EndpointFault, Onence, Rounding, Sandbox, Spelling, StartError, Tokens, User, Worldline,
};
use tempfile::{NamedTempFile, TempDir};

use crate::{arguments::SandboxArguments, failure::Failure, output};

pub(crate) async fn run(arguments: SandboxArguments) -> Result<(), Failure> {
    let onence = Onence {
        more_users: further_user(&arguments)?.into_iter().collect(),
        lifetime: Duration::from_secs(arguments.onence_lifetime.into()),
        spelling: if arguments.spelling == "example" { Spelling::Example } else { Spelling::Schema },
        tokens: match arguments.server_cached.as_deref() {
            None => Tokens::New,
            Some("up") => Tokens::ServerCached { rounding: Rounding::Up },
            Some(_) => Tokens::ServerCached { rounding: Rounding::Down },
        },
        ..Onence::default()
    };
    let lifetime = Duration::from_secs(arguments.worldline_lifetime.into());
    let sandbox = Sandbox::builder()
        .listen(arguments.listen)
        .allow_remote(arguments.allow_remote)
        .onence(onence)
        .worldline(Worldline { lifetime, ..Worldline::default() });
    let sandbox = arguments.allow_host.iter().fold(sandbox, |sandbox, host| sandbox.allow_host(host));
    let sandbox = sandbox.start().await.map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let hint = if matches!(error, StartError::Remote(_)) { ", as it is with --allow-remote" } else { "" };
        let argument = match error {
            StartError::Host(_) => "--allow-host".to_owned(),
            StartError::DuplicateUser(_) => "--onence-username".to_owned(),
            _ => format!("--listen {}", arguments.listen),
        };
        Failure::Setting(format!("{argument}: {error}{cause}{hint}"))
    })?;
    for json in &arguments.fault {
        let refused = |error: String| Failure::Setting(format!("--fault {json}: {error}"));
        let EndpointFault { endpoint, fault } = serde_json::from_str(json).map_err(|e| refused(e.to_string()))?;
        sandbox.fault(endpoint, fault).map_err(|e| refused(e.to_string()))?;
    }

    // From here on no signal that can be listened for ends the process before the folder is removed.
    let interrupted = interrupted().map_err(|e| Failure::Local(format!("signals can't be listened for: {e}")))?;
    let folder = private_folder().map_err(|e| Failure::Local(format!("a folder for the signing key: {e}")))?;
    output::write(&settings(&sandbox, folder.path(), &arguments)?)?;
    interrupted.await;
    sandbox.stop().await;
    let path = folder.path().display().to_string();
    folder.close().map_err(|e| Failure::Local(format!("{path} with the signing key can't be removed: {e}")))
}

/// The user that the arguments add. Its password comes from a file: other users of a machine can read a process list.
fn further_user(arguments: &SandboxArguments) -> Result<Option<User>, Failure> {
    let (Some(username), Some(path)) = (&arguments.onence_username, &arguments.onence_password_file) else {
        return Ok(None);
    };
    let refused = |argument: &str, error: access_tokens::Error| Failure::Setting(format!("{argument}: {error}"));
    let file = SecretFile::read(path).map_err(|error| {
        // Not the path: it may be the password, by mistake.
        let cause = error.cause().unwrap_or_default();
        Failure::Setting(format!("--onence-password-file: the file can't be read: {cause}"))
    })?;
    let password = file.secret(Setting::Password).map_err(|error| refused("--onence-password-file", error))?;
    Credentials::new(username, password).check().map_err(|error| refused("--onence-username", error))?;
    Ok(Some(User { username: username.clone(), password: password.to_owned() }))
}

/// Nobody else can look into it. It is removed when it is dropped.
fn private_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("access-tokens-sandbox-");
    #[cfg(unix)]
    let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}

/// Nobody else can read it, wherever it is moved: a temporary file is its owner's alone, and is given another name.
fn write_private(folder: &Path, path: &Path, content: &str) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// The settings for `get`, ready to be pasted into a shell; the signing key and its certificate are put into `folder`.
fn settings(sandbox: &Sandbox, folder: &Path, arguments: &SandboxArguments) -> Result<String, Failure> {
    let export = |name: &str, value: &str| format!("export {name}='{}'\n", value.replace('\'', "'\\''"));
    let (onence, worldline) = (sandbox.onence(), sandbox.worldline());
    let further_user = match (&arguments.onence_username, &arguments.onence_password_file) {
        // As with the ways to authenticate at Worldline below.
        (Some(username), Some(path)) => format!(
            "\n# or, after `unset ONENCE_PASSWORD`, the further user\n# {}# {}",
            export("ONENCE_USERNAME", username),
            export("ONENCE_PASSWORD_FILE", &path.display().to_string()),
        ),
        _ => String::new(),
    };
    let mut text = [
        format!("# the sandbox plays 1NCE and Worldline at {} until it is interrupted\n", sandbox.url()),
        "\n# the protected resource, which the tokens of both open\n".to_owned(),
        export("SANDBOX_RESOURCE_URL", &sandbox.resource_url()),
        "\n# 1NCE: access-tokens get onence\n".to_owned(),
        export("ONENCE_BASE_URL", &sandbox.onence_base_url()),
        export("ONENCE_USERNAME", &onence.username),
        export("ONENCE_PASSWORD", &onence.password),
        further_user,
        "\n# Worldline: access-tokens get worldline\n".to_owned(),
        export("WORLDLINE_BASE_URL", &sandbox.worldline_base_url()),
        export("WORLDLINE_REALM", &worldline.realm),
        export("WORLDLINE_SCOPE", &worldline.allowed_scopes.join(" ")),
    ]
    .concat();
    for client in &worldline.clients {
        let id = export("WORLDLINE_CLIENT_ID", &client.client_id);
        if let ClientAuth::Secret(secret) = &client.auth {
            text += &format!("\n# with a client secret\n{id}{}", export("WORLDLINE_CLIENT_SECRET", secret));
            continue;
        }
        // Two ways at once are an error of `get`, so these lines must not take effect if all are pasted.
        text += "\n# or, after `unset WORLDLINE_CLIENT_SECRET`, with a client assertion\n";
        text += &format!("# {id}");
        for (variable, name, pem) in [
            ("WORLDLINE_SIGNING_KEY", "signing-key.pem", sandbox.signing_key_pem()),
            ("WORLDLINE_SIGNING_CERT", "signing-cert.pem", sandbox.signing_cert_pem()),
        ] {
            let path = folder.join(name);
            write_private(folder, &path, pem).map_err(|e| Failure::Local(format!("{}: {e}", path.display())))?;
            text += &format!("# {}", export(variable, &path.display().to_string()));
        }
    }
    Ok(text)
}

/// Ctrl-C, the end of the terminal, or the signal by which a service manager ends a process. They are listened for from now on,
/// and not only once the future is polled.
#[cfg(unix)]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Whether the process was started to outlive its terminal, as `nohup` does: listening for the signal would undo that. Known on
/// Linux alone.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit for each signal; SIGHUP is number 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // An error leaves no other way to end than to be killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
