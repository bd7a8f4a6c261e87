//! What callers read: one pointer to one immutable view, swapped whole, so that nobody ever sees half a change.

use std::{fmt, ops::Deref};

use super::sync::{Arc, Loaded, Swap};
use crate::{AccessToken, clock::Moment};

/// The token in force as it was published last.
#[derive(Debug)]
pub(super) struct Slot(Swap<View>);

#[derive(Debug)]
pub(super) struct View {
    pub(super) token: Arc<AccessToken>,
    /// Before it there is nothing to do but to serve the token: it's neither ended nor is a refresh due. A coarse clock's
    /// lag is taken off.
    pub(super) quiet_until: Moment,
    /// An exchange for its successor is under way.
    #[cfg(feature = "metrics")]
    pub(super) refreshing: bool,
    /// Counts the tokens.
    pub(super) generation: u64,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self(Swap::from_pointee(View {
            token: Arc::new(AccessToken::none()),
            quiet_until: Moment::PAST,
            #[cfg(feature = "metrics")]
            refreshing: false,
            generation: 0,
        }))
    }

    /// The token, if at `now` there is nothing to do but to serve it. Takes no lock and counts nothing.
    #[inline]
    pub(super) fn quiet(&self, now: Moment) -> Option<TokenGuard> {
        let view = self.0.load();
        (!now.reached(view.quiet_until)).then_some(TokenGuard(view))
    }

    pub(super) fn load(&self) -> TokenGuard {
        TokenGuard(self.0.load())
    }

    pub(super) fn publish(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}

/// A token that was valid when it was handed out, from [`TokenCache::token`](crate::TokenCache::token). It reads as an
/// [`AccessToken`], and getting it counts no reference: use it at once. [`to_owned`](Self::to_owned) gives one to keep.
pub struct TokenGuard(Loaded<View>);

impl TokenGuard {
    /// The token to keep, to send to another task, to hold over a request.
    #[allow(clippy::should_implement_trait, reason = "a guard can't be borrowed from what it gives")]
    pub fn to_owned(&self) -> Arc<AccessToken> {
        self.0.token.clone()
    }

    #[cfg(feature = "metrics")]
    pub(super) fn is_refreshing(&self) -> bool {
        self.0.refreshing
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.generation
    }
}

impl Deref for TokenGuard {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        &self.0.token
    }
}

impl fmt::Debug for TokenGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.token.fmt(f)
    }
}
