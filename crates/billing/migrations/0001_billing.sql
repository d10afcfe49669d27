-- What services cost. A service keeps its currency; its row is locked while prices or what is
-- sold at them change, so that nothing is ever sold without a price.
create table price_service (
    service text primary key,
    currency text not null,
    words text
);

create table price_book (
    service text not null references price_service (service),
    effective bigint not null,
    book text not null,
    primary key (service, effective)
);

-- One billing cycle for each instance. The lines of an account's bills are named after the hosts.
create table cycle (
    instance text primary key,
    account text not null,
    service text not null references price_service (service),
    host text not null,
    unique (account, host)
);
create index cycle_by_account on cycle (account, instance);
create index cycle_by_service on cycle (service);

-- What an instance has taken from a moment on, until the next one. Rows are only added.
create table subscription (
    instance text not null references cycle (instance),
    since bigint not null,
    plan text not null,
    size text not null,
    modules text not null,
    primary key (instance, since)
);

-- How far each source has come; whoever adds events of it holds this row.
create table usage_source (
    source text not null,
    epoch bigint not null,
    first_sequence bigint not null,
    next_sequence bigint not null,
    primary key (source, epoch)
);

-- How often usage was added to an account. Who holds this row is the only one who adds, so what
-- carries a revision up to a known one never changes any more.
create table usage_account (
    account text primary key,
    revision bigint not null
);

-- What was used, event by event. Rows are only added.
create table usage_event (
    source text not null,
    epoch bigint not null,
    sequence bigint not null,
    account text not null,
    revision bigint not null,
    instance text not null,
    meter text not null,
    used_at bigint not null,
    quantity bigint not null,
    event text not null,
    note text not null,
    primary key (source, epoch, sequence)
);
create index usage_event_by_time on usage_event (account, used_at, source, epoch, sequence);
create index usage_event_by_meter on usage_event (account, instance, meter, used_at);

-- Its sums by the clock hour: what bills are made from. The limit keeps an engine that would go on
-- with a floating-point number from doing so.
create table usage_total (
    account text not null,
    hour_starts bigint not null,
    instance text not null,
    meter text not null,
    quantity bigint not null check (quantity between 0 and 1000000000000000000),
    primary key (account, hour_starts, instance, meter)
);
