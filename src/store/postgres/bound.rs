//! Arguments of a statement, bound one after the other.

use std::sync::Arc;

use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};

use crate::store::{Error, Result};

/// Arguments so far. Unlike a query's, they may be borrowed for the moment.
#[derive(Default)]
pub(super) struct Bound {
    arguments: PgArguments,
    failed: Option<BoxDynError>,
}

impl Bound {
    /// Binds the next one.
    pub(super) fn bind<'t, T>(mut self, value: T) -> Self
    where
        T: Encode<'t, Postgres> + Type<Postgres>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        self
    }

    /// All of them, if each could be encoded.
    pub(super) fn all(self) -> Result<PgArguments> {
        match self.failed {
            None => Ok(self.arguments),
            Some(error) => Err(Error::Rejected(Arc::from(error))),
        }
    }
}
