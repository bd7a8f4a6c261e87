//! aliri_tokens: a background task that refreshes, and a token in a watch channel. It leaves the check of the expiry to
//! its callers.

use std::{hint::black_box, sync::Arc};

use aliri::jwt::Audience;
use aliri_tokens::{
    ClientId, ClientSecret, TokenLifetimeConfig, TokenWatcher,
    backoff::ErrorBackoffConfig,
    jitter::NullJitter,
    sources::oauth2::{
        ClientCredentialsTokenSource,
        dto::{ClientCredentials, ClientCredentialsWithAudience},
    },
};

use crate::library::{Call, Error, Library};

pub(crate) struct AliriTokens(TokenWatcher);

impl Library for AliriTokens {
    const NAME: &'static str = "aliri_tokens";

    async fn open(url: &str) -> Result<Self, Error> {
        let credentials = ClientCredentials {
            client_id: ClientId::from_static("client"),
            client_secret: ClientSecret::from_static("secret"),
        };
        let source = ClientCredentialsTokenSource::new(
            reqwest_012::Client::new(),
            url.parse()?,
            ClientCredentialsWithAudience {
                credentials: Arc::new(credentials),
                audience: Audience::from_static("audience"),
            },
            TokenLifetimeConfig::default(),
        );
        // There is no default jitter. The minute that its documentation shows is longer than half of these tokens' lives,
        // and would make it ask again at once.
        let watcher = TokenWatcher::spawn_from_token_source(source, NullJitter, ErrorBackoffConfig::default()).await?;
        Ok(Self(watcher))
    }

    async fn get(&self) -> Result<String, Error> {
        Ok(self.0.token().access_token().as_str().to_owned())
    }
}

/// A copy to keep: a borrow must be short, since it holds up the next token.
impl Call for AliriTokens {
    async fn call(&self) {
        drop(black_box(self.0.token().access_token().to_owned()));
    }
}

/// A borrow, for callers that need it no longer than until the next `await`.
pub(crate) struct AliriTokensBorrow(AliriTokens);

impl AliriTokensBorrow {
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        Ok(Self(AliriTokens::open(url).await?))
    }
}

impl Call for AliriTokensBorrow {
    async fn call(&self) {
        drop(black_box(self.0.0.token()));
    }
}
