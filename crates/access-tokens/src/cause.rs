//! What led to an error.

use std::{error::Error as StdError, fmt, io, iter};

use crate::text;

/// The innermost cause of an error, which is the one that says why, in its own words.
#[derive(Debug)]
pub(crate) struct Cause(String);

impl Cause {
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        // Others' words can hold what a server sent, such as the names in its certificate.
        Self(text::shown(&chain(error).last().map(ToString::to_string).unwrap_or_default(), 300))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// The first error of this type.
pub(crate) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Whether any of this type is so.
pub(crate) fn any<T: StdError + 'static>(error: &(dyn StdError + 'static), is: fn(&T) -> bool) -> bool {
    chain(error).filter_map(|error| error.downcast_ref()).any(is)
}

/// An error and what led to it. Errors of TLS lie within those of input and output, one in another, whose `source` leaves
/// them out.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        }
    })
}
