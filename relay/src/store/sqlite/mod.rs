//! The store on SQLite: one file, one process.
//!
//! `SqliteStore::open(path).await` → a [`super::Store`].
