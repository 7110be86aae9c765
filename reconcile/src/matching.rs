//! Which records are the same entity.
