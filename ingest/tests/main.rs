//! ERP capture against a real Postgres.
