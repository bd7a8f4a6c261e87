//! How keys are written as environment variables.

/// Settings are in variables that begin so; two underscores stand between levels.
pub(crate) const PREFIX: &str = "ACCESS_TOKENS__";

/// The variable that sets a key.
pub(crate) fn of(key: &str) -> String {
    format!("{PREFIX}{}", in_variables(key).replace('.', "__").to_ascii_uppercase())
}

/// The name of a source as variables have it: there `-` is `_`.
pub(crate) fn in_variables(name: &str) -> String {
    name.replace('-', "_")
}
