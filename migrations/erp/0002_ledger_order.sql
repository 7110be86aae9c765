-- The order in which writes were carried out, and the way to a table's entries: a copy of a table says of each row which
-- write of ours was the last one on it.

alter table concord.ledger add column if not exists ordinal bigint generated always as identity;
create index if not exists ledger_applied on concord.ledger (object, ordinal) where result = 'applied';
