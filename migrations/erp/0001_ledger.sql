-- What Concord keeps inside the ERP database: one row for each write it has applied, in the same
-- transaction as the write itself, so that trying a write again finds its answer instead of doing it twice.

create schema if not exists concord;

create table if not exists concord.ledger (
    write_id   text primary key,
    entity     text not null,
    object     text not null,
    record     text,
    result     text not null,
    actual     jsonb,
    applied_at timestamptz not null default now()
);
create index if not exists ledger_applied_at on concord.ledger (applied_at);
