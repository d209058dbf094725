//! Snapshot stores: where the shards' snapshots are kept.
//!
//! [`folder`] keeps them as files in a local folder.

pub mod folder;

pub use folder::FolderStore;
