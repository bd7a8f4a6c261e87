use std::env::var;

use access_tokens::{TokenCache, onence};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credentials = onence::Credentials::new(var("ONENCE_USERNAME")?, var("ONENCE_PASSWORD")?);
    let client = onence::Client::builder(credentials).base_url(var("ONENCE_BASE_URL")?).build()?;
    let cache = TokenCache::new(client); // for years; clone it to wherever a token is needed

    let token = cache.token().await?;
    println!("{} until {:?}", token.scopes(), token.expires_at());
    Ok(())
}
