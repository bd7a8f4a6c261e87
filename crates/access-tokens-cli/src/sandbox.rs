//! `access-tokens sandbox`: both token endpoints on this machine until it is interrupted.

use std::{error::Error as _, fs, path::Path, time::Duration};

use access_tokens_sandbox::{ClientAuth, EndpointFault, Onence, Sandbox, StartError, Tokens, Worldline};

use crate::{
    arguments::{Rounding, SandboxArguments, Spelling},
    failure::Failure,
    output,
};

pub(crate) async fn run(arguments: SandboxArguments) -> Result<(), Failure> {
    let faults: Vec<EndpointFault> = arguments
        .fault
        .iter()
        .map(|json| serde_json::from_str(json).map_err(|e| Failure::Setting(format!("--fault {json}: {e}"))))
        .collect::<Result<_, _>>()?;
    let sandbox = Sandbox::builder()
        .listen(arguments.listen)
        .allow_remote(arguments.allow_remote)
        .onence(onence(&arguments))
        .worldline(Worldline {
            lifetime: Duration::from_secs(arguments.worldline_lifetime.into()),
            ..Worldline::default()
        })
        .start()
        .await
        .map_err(|e| Failure::Setting(format!("--listen {}: {}", arguments.listen, why(&e))))?;
    for EndpointFault { endpoint, fault } in faults {
        sandbox.fault(endpoint, fault).map_err(|e| Failure::Setting(format!("--fault: {e}")))?;
    }

    // Removed when this function ends.
    let folder = tempfile::Builder::new().prefix("access-tokens-sandbox-").tempdir();
    let folder = folder.map_err(|e| Failure::Local(format!("a folder for the signing key: {e}")))?;
    output::write(&settings(&sandbox, folder.path())?)?;
    interrupted().await?;
    sandbox.stop().await;
    Ok(())
}

/// Why the sandbox can't start, and which flag helps.
fn why(error: &StartError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let hint = match error {
        StartError::Remote(_) => ", as it is with --allow-remote",
        _ => "",
    };
    format!("{error}{cause}{hint}")
}

fn onence(arguments: &SandboxArguments) -> Onence {
    use access_tokens_sandbox as sandbox;
    Onence {
        lifetime: Duration::from_secs(arguments.onence_lifetime.into()),
        spelling: match arguments.spelling {
            Spelling::Schema => sandbox::Spelling::Schema,
            Spelling::Example => sandbox::Spelling::Example,
        },
        tokens: match arguments.server_cached {
            None => Tokens::New,
            Some(Rounding::Up) => Tokens::ServerCached { rounding: sandbox::Rounding::Up },
            Some(Rounding::Down) => Tokens::ServerCached { rounding: sandbox::Rounding::Down },
        },
        ..Onence::default()
    }
}

/// The settings for `get`, ready to be pasted into a shell; the signing key and its certificate are put into `folder`.
fn settings(sandbox: &Sandbox, folder: &Path) -> Result<String, Failure> {
    let file = |name: &str, pem: &str| {
        let path = folder.join(name);
        fs::write(&path, pem).map_err(|e| Failure::Local(format!("{}: {e}", path.display())))?;
        Ok::<_, Failure>(path.display().to_string())
    };
    let (onence, worldline) = (sandbox.onence(), sandbox.worldline());
    let mut text = format!("# the sandbox plays 1NCE and Worldline at {} until it is interrupted\n", sandbox.url());
    let quoted = |(name, value): &(&str, &str)| format!("{name}='{}'", value.replace('\'', "'\\''"));
    let mut section = |title: &str, prefix: &str, variables: &[(&str, &str)]| {
        let variables: Vec<_> = variables.iter().map(quoted).collect();
        text.push_str(&format!("\n# {title}\n{prefix}export {}\n", variables.join(&format!("\n{prefix}export "))));
    };
    section(
        "1NCE: access-tokens get onence",
        "",
        &[
            ("ONENCE_BASE_URL", &sandbox.onence_base_url()),
            ("ONENCE_USERNAME", &onence.username),
            ("ONENCE_PASSWORD", &onence.password),
        ],
    );
    section(
        "Worldline: access-tokens get worldline",
        "",
        &[
            ("WORLDLINE_BASE_URL", &sandbox.worldline_base_url()),
            ("WORLDLINE_REALM", &worldline.realm),
            ("WORLDLINE_SCOPE", &worldline.allowed_scopes.join(" ")),
        ],
    );
    for client in &worldline.clients {
        let id = ("WORLDLINE_CLIENT_ID", client.client_id.as_str());
        match &client.auth {
            ClientAuth::Secret(secret) => {
                section("with a client secret", "", &[id, ("WORLDLINE_CLIENT_SECRET", secret)])
            }
            _ => {
                let key = file("signing-key.pem", sandbox.signing_key_pem())?;
                let certificate = file("signing-cert.pem", sandbox.signing_cert_pem())?;
                // Both ways at once is an error of `get`, so these lines must not take effect when all are pasted.
                section(
                    "or, after `unset WORLDLINE_CLIENT_SECRET`, with a client assertion",
                    "# ",
                    &[id, ("WORLDLINE_SIGNING_KEY", &key), ("WORLDLINE_SIGNING_CERT", &certificate)],
                );
            }
        }
    }
    Ok(text)
}

/// Ctrl-C, or the signal by which a service manager ends a process.
async fn interrupted() -> Result<(), Failure> {
    let failed = |e| Failure::Local(format!("signals can't be listened for: {e}"));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome.map_err(failed),
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failed)
}
