//! `access-tokens demo`: the sandbox in this process, and a token in each way to authenticate through the real facade.

use access_tokens::{AccessToken, Identity, TokenEndpoint, assertion::ClientAssertion, onence, worldline};
use access_tokens_sandbox::{ClientAuth, Sandbox};

use crate::{failure::Failure, output, provider};

pub(crate) async fn run() -> Result<(), Failure> {
    let sandbox = Sandbox::start().await.map_err(|e| Failure::Local(format!("the sandbox can't be started: {e}")))?;
    let mut rows = Vec::new();
    for (way, client) in ways(&sandbox).map_err(failed)? {
        let token = client.exchange().await.map_err(failed)?;
        accepted(&sandbox, &token).await?;
        rows.push([
            provider::name(client.provider()).to_owned(),
            way.to_owned(),
            token.scopes().to_string(),
            output::remaining(&token),
            output::redacted(&token),
            "accepted".to_owned(),
        ]);
    }
    sandbox.stop().await;
    output::write(&output::table(
        &["provider", "authenticated by", "scopes", "remaining", "token", "protected resource"],
        rows,
    ))
}

/// How it authenticates, and the client that does.
type Way = (&'static str, Box<dyn TokenEndpoint>);

/// One client for each way, with the sandbox's documented credentials.
fn ways(sandbox: &Sandbox) -> Result<Vec<Way>, access_tokens::Error> {
    let settings = sandbox.onence();
    let credentials = onence::Credentials::new(&settings.username, &settings.password);
    let onence = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build()?;
    let mut ways: Vec<Way> = vec![("Basic", Box::new(onence))];

    let settings = sandbox.worldline();
    for client in &settings.clients {
        let id = &client.client_id;
        let (way, credentials) = if let ClientAuth::Secret(secret) = &client.auth {
            ("client secret", worldline::ClientSecret::new(id, secret).into())
        } else {
            let identity = Identity::new(sandbox.signing_key_pem(), Some(sandbox.signing_cert_pem().as_ref()), None)?;
            ("client assertion", worldline::Credentials::from(ClientAssertion::new(id, identity)?))
        };
        let scopes = settings.allowed_scopes.join(" ").parse()?;
        let realm = settings.realm.parse()?;
        let client = worldline::Client::builder(sandbox.worldline_base_url(), realm, scopes, credentials).build()?;
        ways.push((way, Box::new(client)));
    }
    Ok(ways)
}

/// Shows the token to the sandbox's protected resource.
async fn accepted(sandbox: &Sandbox, token: &AccessToken) -> Result<(), Failure> {
    let failed = |what: String| Failure::Local(format!("the sandbox's protected resource {what}"));
    // The sandbox is in this process: no proxy of the environment can reach it, and no root certificates are needed.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let client = client.map_err(|e| failed(format!("can't be asked: {e}")))?;
    let request = client.get(sandbox.resource_url()).header("authorization", token.header());
    let status = request.send().await.map_err(|e| failed(format!("can't be reached: {e}")))?.status();
    if status.is_success() { Ok(()) } else { Err(failed(format!("refused the token (HTTP {})", status.as_u16()))) }
}

fn failed(error: access_tokens::Error) -> Failure {
    // It needs no settings, so none can be wrong.
    Failure::Local(format!("the sandbox gave no token: {error}"))
}
