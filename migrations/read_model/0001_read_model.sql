-- What pages show. Filled from the log only, in the same transaction as the offsets read, so that it
-- can be dropped and built again at any time. Times are timestamptz; values are jsonb in their plain
-- form: null, booleans, numbers, strings; decimals, dates and timestamps as strings.

create table log_position (
    topic       text   not null,
    partition   int    not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

create table link (
    side   text not null check (side in ('crm', 'erp')),
    object text not null,
    record text not null,
    entity text not null,
    kind   text not null,
    linked boolean not null,
    rule   text not null,
    at     timestamptz not null,
    primary key (side, object, record)
);
create index link_entity on link (entity);

-- The merged record, from golden.<entity>.
create table entity (
    entity     text primary key,
    kind       text not null,
    title      text not null default '',
    crm_record text,
    erp_record text,
    fields     jsonb not null default '{}',
    deleted    boolean not null default false,
    updated_at timestamptz not null
);
create index entity_kind_title on entity (kind, title);

-- Source rows of objects that are captured but not reconciled: opportunities, orders, invoices, payments.
create table source_record (
    side         text not null check (side in ('crm', 'erp')),
    object       text not null,
    record       text not null,
    data         jsonb not null,
    deleted      boolean not null default false,
    committed_at timestamptz not null,
    primary key (side, object, record)
);

create table write (
    id          text primary key,
    entity      text not null,
    kind        text not null,
    side        text not null check (side in ('crm', 'erp')),
    object      text not null,
    record      text,
    op          text not null,
    "values"    jsonb not null,
    expected    jsonb not null,
    lane        text not null,
    reason      text not null,
    actor       text,
    conflict    text,
    -- sent: on its way; applied: answered; confirmed: seen in the target's own stream; or rejected, failed, deferred
    state       text not null default 'sent',
    code        text,
    message     text,
    attempts    int not null default 0,
    caused_at   timestamptz not null,
    answered_at timestamptz,
    confirmed_at timestamptz
);
create index write_unfinished on write (side, state) where state not in ('confirmed', 'rejected');
create index write_entity on write (entity);
create index write_caused_at on write (caused_at);

create table conflict (
    id         text primary key,
    entity     text not null,
    kind       text not null,
    title      text not null,
    field      text not null,
    label      text not null,
    state      text not null check (state in ('open', 'settled')),
    base_crm   jsonb, base_erp jsonb,
    crm        jsonb, erp jsonb,
    crm_at     timestamptz, erp_at timestamptz,
    crm_actor  text, erp_actor text,
    crm_record text, erp_record text,
    crm_column text not null, erp_column text not null,
    policy     text not null,
    reason     text not null,
    winner     text,
    chosen     jsonb,
    tie        boolean not null,
    overtaken  boolean not null,
    settled_by text,
    settled_at timestamptz,
    opened_at  timestamptz not null,
    mapping_version bigint not null
);
create index conflict_open on conflict (opened_at) where state = 'open';
create index conflict_settled on conflict (settled_at desc) where state = 'settled';
create index conflict_entity on conflict (entity);

create table audit (
    id        text primary key,
    entity    text not null,
    kind      text not null,
    title     text not null,
    side      text not null,
    object    text not null,
    record    text not null,
    op        text not null,
    -- [{"column", "field", "before", "after"}]
    columns   jsonb not null,
    altered   boolean not null,
    reason    text not null,
    actor     text,
    conflict  text,
    sync_id   text,
    caused_at timestamptz not null,
    at        timestamptz not null,
    mapping_version bigint not null
);
create index audit_at on audit (at desc);
create index audit_entity on audit (entity, at desc);

-- One row a minute and direction (the side written to); latency is from the commit of the edit to the commit that
-- confirmed it, counted in buckets whose upper bounds in milliseconds are
-- 5 10 20 30 50 75 100 150 200 250 350 500 750 1000 2000 5000 10000 60000 and above.
create table flow_minute (
    minute    timestamptz not null,
    side      text not null,
    confirmed bigint not null default 0,
    rejected  bigint not null default 0,
    failed    bigint not null default 0,
    conflicts bigint not null default 0,
    latency   bigint[] not null default array_fill(0::bigint, array[19]),
    primary key (minute, side)
);

create table health (
    component text primary key,
    state     text not null,
    reason    text not null,
    remedy    text not null,
    since     timestamptz not null,
    at        timestamptz not null,
    facts     jsonb not null
);

create table dead_letter (
    topic     text not null,
    partition int not null,
    "offset"  bigint not null,
    source_topic     text not null,
    source_partition int not null,
    source_offset    bigint not null,
    key       bytea,
    value     bytea,
    component text not null,
    reason    text not null,
    remedy    text not null,
    at        timestamptz not null,
    primary key (topic, partition, "offset")
);
create index dead_letter_at on dead_letter (at desc);

create table customer_financials (
    customer         text primary key,
    ar_balance       numeric not null,
    overdue          numeric not null,
    open_orders      bigint not null,
    open_order_value numeric not null,
    as_of            date not null,
    at               timestamptz not null
);

create table pipeline_summary (
    stage       text primary key,
    count       bigint not null,
    value       numeric not null,
    weighted    numeric not null,
    won         bigint not null,
    lost        bigint not null,
    win_rate_bp bigint,
    at          timestamptz not null
);

create table setting (
    name    text primary key,
    value   jsonb not null,
    version bigint not null,
    actor   text not null,
    at      timestamptz not null
);

-- Sign-in; the only table here that does not come from the log.
create table session (
    token_hash bytea primary key,
    actor      text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
