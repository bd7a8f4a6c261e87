//! aws-smithy-runtime: the lazy identity cache that its clients share, over a resolver that makes the exchange.

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_runtime::client::{
    auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme},
    identity::IdentityCache,
    orchestrator::endpoints::StaticUriEndpointResolver,
    retries::strategy::NeverRetryStrategy,
};
use aws_smithy_runtime_api::client::{
    auth::static_resolver::StaticAuthSchemeOptionResolver,
    identity::{
        Identity, IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityCache, SharedIdentityResolver,
        http::Token,
    },
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;
use serde::Deserialize;

use crate::library::{Call, Error, Library};

pub(crate) struct AwsSmithyRuntime {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

impl Library for AwsSmithyRuntime {
    const NAME: &'static str = "aws-smithy-runtime";

    async fn open(url: &str) -> Result<Self, Error> {
        let resolver = SharedIdentityResolver::new(Exchange { url: url.to_owned(), client: reqwest::Client::new() });
        let cache = IdentityCache::lazy().build();
        // The cache uses the time source and the sleep; the rest has to be there.
        let components = RuntimeComponents::builder("access-tokens-bench")
            .with_identity_cache(Some(cache.clone()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, resolver.clone())
            .with_time_source(Some(SystemTimeSource::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_auth_scheme(NoAuthScheme::new())
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![NO_AUTH_SCHEME_ID])))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri(url)))
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .build()?;
        Ok(Self { cache, resolver, components, config: ConfigBag::base() })
    }

    async fn get(&self) -> Result<String, Error> {
        let identity = self.resolve().await?;
        Ok(identity.data::<Token>().ok_or("an identity without a token")?.token().to_owned())
    }
}

impl AwsSmithyRuntime {
    /// As its orchestrator does for each request.
    fn resolve(&self) -> IdentityFuture<'_> {
        self.cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.config)
    }
}

impl Call for AwsSmithyRuntime {
    async fn call(&self) {
        drop(black_box(self.resolve().await));
    }
}

#[derive(Debug)]
struct Exchange {
    url: String,
    client: reqwest::Client,
}

impl ResolveIdentity for Exchange {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(async {
            let request = self.client.post(&self.url).form(&[("grant_type", "client_credentials")]);
            let answer: Answer = request.send().await?.error_for_status()?.json().await?;
            let expiration = Some(SystemTime::now() + Duration::from_secs(answer.expires_in));
            Ok(Identity::new(Token::new(answer.access_token, expiration), expiration))
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}
