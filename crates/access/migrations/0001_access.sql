-- `account` is the account that a resource is in, or empty for the platform's own grants.
create table access_grant (
    id text primary key,
    account text not null,
    principal text not null,
    given text not null,
    resource text not null,
    granted_by text not null,
    created bigint not null
);
create index access_grant_by_account on access_grant (account, id);

create table catalogue (
    service text not null,
    permission text primary key,
    title text not null,
    level text not null
);
create index catalogue_by_service on catalogue (service);

create table audit (
    id text primary key,
    account text not null,
    at bigint not null,
    principal text not null,
    action text not null,
    resource text not null,
    detail text not null,
    request text not null
);
create index audit_by_account on audit (account, id);
