-- The key that the first release of a service was signed with signs all others.
create table publisher (
    service text primary key,
    public_key text not null
);

create table release (
    service text not null,
    digest text not null,
    phase text not null,
    manifest text not null,
    prices text not null,
    public_key text not null,
    signature text not null,
    problem text,
    created bigint not null,
    primary key (service, digest)
);
create index release_by_phase on release (phase, created);

-- The release of a service that runs.
create table service (
    service text primary key,
    digest text not null
);

create table node (
    id text primary key,
    name text not null,
    seen bigint not null,
    releases text not null,
    replicas text not null
);

-- The healthy replicas that the gateways were told of.
create table replica (
    id text primary key,
    node text not null,
    address text not null
);
create index replica_by_node on replica (node);
