create table service (
    service text primary key,
    release text not null,
    manifest text not null
);

-- `setup_key` and `settings` are sealed; `attempt` counts the set-ups that were begun.
create table instance (
    id text primary key,
    account text not null,
    service text not null references service (service),
    host text not null unique,
    modules text not null,
    size text not null,
    state text not null,
    suspended text,
    maintenance text,
    problem text,
    setup_key text not null,
    settings text,
    attempt bigint not null,
    created bigint not null
);
create index instance_by_account on instance (account, id);
create index instance_by_state on instance (state, id);

create table setup_job (
    instance text not null references instance (id),
    position bigint not null,
    job text not null,
    name text not null,
    command text not null,
    state text not null,
    output text not null,
    primary key (instance, position)
);
