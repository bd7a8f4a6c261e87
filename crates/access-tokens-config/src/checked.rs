//! What a check found.

use crate::error::Problem;

/// All that [`Config::check`](crate::Config::check) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong, of each setting the first.
    pub problems: Vec<Problem>,
    /// What is odd and may be right, such as a space at the end of a secret.
    pub warnings: Vec<Problem>,
}
