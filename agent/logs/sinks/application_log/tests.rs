//! The file, with real files.
