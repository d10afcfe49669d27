create table offer (
    service text primary key,
    release text not null,
    manifest text not null,
    plans text not null
);

-- A host belongs to one instance from the order on.
create table taken_host (
    host text primary key,
    instance text not null unique
);

create table customer_order (
    id text primary key,
    account text not null,
    instance text not null,
    service text not null,
    plan text not null,
    modules text not null,
    size text not null,
    host text not null,
    phase text not null,
    problem text,
    created bigint not null
);
create index customer_order_by_account on customer_order (account, id);
create index customer_order_by_instance on customer_order (instance, id);
create index customer_order_by_phase on customer_order (phase, id);
