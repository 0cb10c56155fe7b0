//! The steps from an empty file, or one of an earlier relay, to the database of this one.
//!
//! Never changed once released: a change of the database is a new step.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::SqliteConnection;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::store::Result;

/// Number, name and content of each step.
const STEPS: [(i64, &str, &str); 1] = [(
    1,
    "fleet",
    include_str!("../../../migrations/sqlite/0001_fleet.sql"),
)];

/// Does the steps that the database has not had, each in a transaction: a crash in the middle of one
/// leaves it for the next start.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    let step = |(number, name, sql): &(i64, &'static str, &'static str)| {
        let kind = MigrationType::Simple;
        Migration::new(
            *number,
            Cow::Borrowed(name),
            kind,
            sql.into_sql_str(),
            false,
        )
    };
    let migrator = Migrator::with_migrations(STEPS.iter().map(step).collect());
    // `Migrator::run` would take the connection from a pool; there is one here.
    migrator.run_direct(None, conn, false).await?;
    Ok(())
}
