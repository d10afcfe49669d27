create table queue (
    service text primary key,
    paused boolean not null
);

-- `token` counts the leases that were given out: a report under an older one is refused.
create table job (
    id text primary key,
    account text not null,
    instance text not null,
    service text not null references queue (service),
    release text not null,
    name text not null,
    version bigint not null,
    command text not null,
    after text,
    timeout_seconds bigint not null,
    attempts_max bigint not null,
    state text not null,
    attempts bigint not null,
    output text not null,
    not_before bigint not null,
    created bigint not null,
    started bigint,
    ended bigint,
    node text,
    token bigint not null,
    lease_expires bigint not null
);
create index job_by_state on job (state, service, id);
create index job_by_instance on job (instance, id);

-- What billing has not been told yet, numbered without gaps.
create table usage_head (
    only_row bigint primary key check (only_row = 1),
    sequence bigint not null
);
insert into usage_head (only_row, sequence) values (1, 0);

create table usage (
    sequence bigint primary key,
    event text not null
);
