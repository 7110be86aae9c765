-- What people decided and what became of it, possible matches, and what undo and restore need.

-- From decisions and decision.outcomes, which come in any order; result is null until there is an answer.
create table decision (
    id       text primary key,
    entity   text not null,
    kind     text not null default '',
    action   text not null,
    conflict text,
    field    text,
    choice   text,
    value    jsonb,
    write    text,
    other    text,
    side     text,
    record   text,
    "of"     text,
    batch    text,
    force    boolean not null default false,
    actor    text not null,
    at       timestamptz not null,
    result   text check (result in ('accepted', 'unchanged', 'refused')),
    reason   text not null default '',
    -- the conflict that holds what was replaced
    replaced text,
    mapping_version bigint,
    -- when this row learned of the last answer, by this database's clock: what follows from it is in a moment later
    answered_at timestamptz
);
create index decision_at on decision (at desc, id desc);
create index decision_batch on decision (batch) where batch is not null;
create index decision_conflict on decision (conflict) where conflict is not null;
create index decision_write on decision (write) where write is not null;
create index decision_entity on decision (entity, at desc);

create table match_review (
    id              text primary key,
    kind            text not null,
    left_entity     text not null,
    right_entity    text not null,
    left_title      text not null,
    right_title     text not null,
    left_crm        text, left_erp text,
    right_crm       text, right_erp text,
    -- [{"name", "value"}] in the mapping's order
    left_fields     jsonb not null,
    right_fields    jsonb not null,
    state           text not null check (state in ('open', 'same', 'distinct', 'withdrawn')),
    score           bigint,
    probability_bp  bigint,
    reason          text not null,
    -- [{"label", "left", "right", "finding", "weight"}], the heaviest first
    reasons         jsonb not null,
    opened_at       timestamptz not null,
    decision        text,
    decided_by      text,
    decided_at      timestamptz,
    mapping_version bigint not null
);
create index match_review_open on match_review (opened_at desc, id desc) where state = 'open';
create index match_review_answered on match_review (coalesce(decided_at, opened_at) desc, id desc) where state <> 'open';
create index match_review_left on match_review (left_entity);
create index match_review_right on match_review (right_entity);

-- The edit or decision that a write follows from.
alter table write add column sync_id text;
create index write_sync_id on write (sync_id) where sync_id is not null;
create index write_conflict on write (conflict) where conflict is not null;

-- Writes of a time range, by when the edit was made.
create index audit_caused_at on audit (caused_at desc, id desc);
create index audit_conflict on audit (conflict) where conflict is not null;

-- Each side keeps its own value.
alter table conflict add column kept_both boolean not null default false;

-- Conflicts of one shape.
create index conflict_shape on conflict (kind, field) where state = 'open';
create index link_record on link (record);
