-- How many events a sum is of, so that nobody has to count them.
alter table usage_total add column events bigint not null default 0;
update usage_total set events = (
    select count(*) from usage_event e
    where e.account = usage_total.account and e.instance = usage_total.instance
    and e.meter = usage_total.meter and e.used_at >= usage_total.hour_starts
    and e.used_at < usage_total.hour_starts + 3600000000);

-- What one instance used, oldest first.
create index usage_event_by_instance
    on usage_event (account, instance, used_at, source, epoch, sequence);

-- The latest verification of each bill. What is under way keeps what it was begun with and what it
-- has added up so far; whose turn is the earliest is taken a step further.
create table verification (
    account text not null,
    month bigint not null,
    asked_at bigint not null,
    ended_at bigint,
    counts_until bigint not null,
    revision bigint not null,
    events bigint not null,
    events_total bigint not null,
    turn bigint not null,
    facts text not null,
    billed text not null,
    place text not null,
    progress text not null,
    result text,
    problem text,
    primary key (account, month)
);
create index verification_by_turn on verification (ended_at, turn);
