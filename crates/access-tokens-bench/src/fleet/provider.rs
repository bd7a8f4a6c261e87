//! The provider as one instance sees it: a new token for each request, unless there is no way to it.

use std::time::Duration;

use access_tokens::{AccessToken, Error, ErrorKind, Exchange, TokenEndpoint, TokenId};

use super::{case::LIFETIME, world::World};

/// How long an exchange takes, any time between as likely.
const WAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(150));

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) world: World,
    pub(super) instance: u32,
}

impl TokenEndpoint for Provider {
    fn provider(&self) -> &str {
        "simulated"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            let asked = self.world.now();
            let number = self.world.asks(self.instance);
            // Made before the way: a token's age is taken from the real clock too, and beside the way in virtual time the
            // moment that is spent here counts nothing.
            let token = AccessToken::new(format!("token-{number}"))?.with_expires_in(LIFETIME);
            self.world.way(WAY.0, WAY.1).await;
            if self.world.case().provider_is_away(asked) {
                return Err(Error::new(ErrorKind::Unavailable, "the provider can't be reached"));
            }
            self.world.issued(asked);
            Ok(token)
        })
    }

    /// All instances are one client's.
    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("simulated", "", "", b""))
    }
}
