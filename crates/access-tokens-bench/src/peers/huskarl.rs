//! huskarl: an in-memory cache over a client credentials grant.

use std::{hint::black_box, time::Duration};

use huskarl::{
    cache::{GrantTokenSource, InMemoryRefreshTokenStore, InMemoryTokenCache, TokenSource},
    core::{EndpointUrl, client_auth::ClientSecret, secrets::ProvidedSecret},
    grant::client_credentials::{ClientCredentialsGrant, ClientCredentialsGrantParameters},
};
use huskarl_reqwest::ReqwestClient;

use crate::library::{Call, Error, Library};

pub(crate) struct Huskarl(InMemoryTokenCache<GrantTokenSource<ClientCredentialsGrant, InMemoryRefreshTokenStore>>);

impl Library for Huskarl {
    const NAME: &'static str = "huskarl";

    async fn open(url: &str) -> Result<Self, Error> {
        // As its examples do; the future of its own builder, which sets the same, can't go to another thread.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()?;
        let grant = ClientCredentialsGrant::builder()
            .client_id("client")
            .client_auth(ClientSecret::new(ProvidedSecret::new("secret".into())))
            .http_client(ReqwestClient::from(client))
            .token_endpoint(url.parse::<EndpointUrl>()?)
            .build();
        let source = GrantTokenSource::builder()
            .grant(grant)
            .grant_parameters(ClientCredentialsGrantParameters::builder().build())
            .refresh_store(InMemoryRefreshTokenStore::default())
            .build();
        Ok(Self(InMemoryTokenCache::builder().source(source).build()))
    }

    async fn get(&self) -> Result<String, Error> {
        Ok(self.0.token().await?.access_token().token().expose_secret().to_owned())
    }
}

impl Call for Huskarl {
    async fn call(&self) {
        drop(black_box(self.0.token().await));
    }
}
