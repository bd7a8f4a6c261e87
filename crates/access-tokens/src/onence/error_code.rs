//! The provider's error codes, and who has to act on each.

use crate::{Error, ErrorKind};

/// As [`TokenEndpoint::provider`](crate::TokenEndpoint::provider) names it.
pub(super) const PROVIDER: &str = "onence";

/// 1NCE's error codes (`#/components/schemas/Bearer_Token_400`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The user doesn't exist, or the password is wrong.
    BadCredentials,
    /// The `Authorization` header lacks the user name or the password.
    AuthValidationError,
    /// The body lacks a member.
    BodyValidationError,
    /// The body isn't JSON.
    UnsupportedContentTypeError,
    /// A code that the specification doesn't list.
    // Quirk onence-closed-error-codes.
    Unknown(String),
}

impl ErrorCode {
    /// The code that `error` came with, if it came from 1NCE with one.
    pub fn of(error: &Error) -> Option<Self> {
        let code = error.code_of(PROVIDER)?;
        Some(Self::known(code).unwrap_or_else(|| Self::Unknown(code.to_owned())))
    }

    fn known(code: &str) -> Option<Self> {
        Some(match code {
            "BadCredentials" => Self::BadCredentials,
            "AuthValidationError" => Self::AuthValidationError,
            "BodyValidationError" => Self::BodyValidationError,
            "UnsupportedContentTypeError" => Self::UnsupportedContentTypeError,
            _ => return None,
        })
    }
}

/// Who has to act on a known code.
pub(crate) fn kind_of(code: &str) -> Option<ErrorKind> {
    match ErrorCode::known(code)? {
        ErrorCode::BadCredentials | ErrorCode::AuthValidationError => Some(ErrorKind::Credentials),
        ErrorCode::BodyValidationError | ErrorCode::UnsupportedContentTypeError => Some(ErrorKind::Request),
        ErrorCode::Unknown(_) => None,
    }
}
