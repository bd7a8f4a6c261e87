//! Which line of a file something is in.

use std::{path::Path, sync::Arc};

use crate::error::Origin;

/// The lines of a text, to find that of an offset.
pub(super) struct Lines<'a> {
    /// Where each line but the first begins.
    starts: Vec<usize>,
    file: &'a Arc<Path>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &[u8], file: &'a Arc<Path>) -> Self {
        let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self { starts: breaks.map(|(offset, _)| offset + 1).collect(), file }
    }

    pub(super) fn origin(&self, offset: usize) -> Origin {
        let before = self.starts.partition_point(|start| *start <= offset);
        Origin::File { path: self.file.clone(), line: Some(before + 1) }
    }
}
