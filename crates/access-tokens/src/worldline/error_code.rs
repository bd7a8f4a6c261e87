//! The provider's error codes, and who has to act on each.

use crate::{Error, ErrorKind};

/// As [`TokenEndpoint::provider`](crate::TokenEndpoint::provider) names it.
pub(super) const PROVIDER: &str = "worldline";

/// Worldline's error codes: those of the specification's 400, of RFC 6749 section 5.2, and what else Keycloak sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The client isn't known, or its assertion isn't valid.
    InvalidClient,
    /// The secret is wrong, or the client may not use this grant.
    UnauthorizedClient,
    /// The realm is disabled.
    AccessDenied,
    /// A scope that the subscription doesn't have.
    InvalidScope,
    /// A parameter is missing or stands twice.
    InvalidRequest,
    /// The grant isn't valid.
    InvalidGrant,
    /// The server doesn't know this grant type.
    UnsupportedGrantType,
    /// The server is overloaded or in maintenance. RFC 6749 has it for another endpoint (section 4.1.2.1).
    TemporarilyUnavailable,
    /// The server met an error of its own; from the same section.
    ServerError,
    /// A code that is in none of these lists.
    Unknown(String),
}

impl ErrorCode {
    /// The code that `error` came with, if it came from Worldline with one.
    pub fn of(error: &Error) -> Option<Self> {
        let code = error.code_of(PROVIDER)?;
        Some(Self::known(code).unwrap_or_else(|| Self::Unknown(code.to_owned())))
    }

    fn known(code: &str) -> Option<Self> {
        Some(match code {
            "invalid_client" => Self::InvalidClient,
            "unauthorized_client" => Self::UnauthorizedClient,
            "access_denied" => Self::AccessDenied,
            "invalid_scope" => Self::InvalidScope,
            "invalid_request" => Self::InvalidRequest,
            "invalid_grant" => Self::InvalidGrant,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "server_error" => Self::ServerError,
            _ => return None,
        })
    }
}

/// Who has to act on a known code.
pub(crate) fn kind_of(code: &str) -> Option<ErrorKind> {
    match ErrorCode::known(code)? {
        ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient | ErrorCode::AccessDenied => {
            Some(ErrorKind::Credentials)
        }
        ErrorCode::InvalidScope
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidGrant
        | ErrorCode::UnsupportedGrantType => Some(ErrorKind::Request),
        ErrorCode::TemporarilyUnavailable | ErrorCode::ServerError => Some(ErrorKind::Unavailable),
        ErrorCode::Unknown(_) => None,
    }
}
