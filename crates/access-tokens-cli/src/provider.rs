//! The providers, as people know them.

/// What people call it.
pub(crate) fn name(provider: &str) -> &str {
    match provider {
        "onence" => "1NCE",
        "worldline" => "Worldline",
        other => other,
    }
}
