//! A time as the read model has it and pages show it.

use serde::{Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type, TypeInfo as _};

/// Microseconds since 1970-01-01T00:00:00Z; a `timestamptz` in Postgres, RFC 3339 text in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct At(pub(crate) i64);

/// Postgres counts from 2000-01-01T00:00:00Z.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
const TIMESTAMPTZ: Oid = Oid(1184);

impl At {
    /// Seconds from this time until `now`, never negative.
    pub(crate) fn age_s(self, now: At) -> i64 {
        now.0.saturating_sub(self.0).max(0) / 1_000_000
    }

    /// The start of its minute.
    pub(crate) fn minute(self) -> At {
        At(self.0 - self.0.rem_euclid(60_000_000))
    }

    /// So many minutes later.
    pub(crate) fn plus_minutes(self, minutes: i64) -> At {
        At(self.0.saturating_add(minutes.saturating_mul(60_000_000)))
    }

    /// RFC 3339, to the millisecond.
    pub(crate) fn rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => format!("{time:.3}"),
            Err(_) => String::new(),
        }
    }
}

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.name() == "TIMESTAMPTZ"
    }
}

impl<'r> Decode<'r, Postgres> for At {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(micros.saturating_add(POSTGRES_EPOCH)))
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0.saturating_sub(POSTGRES_EPOCH), buffer)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}
