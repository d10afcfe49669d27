create table account (
    id text primary key,
    title text not null,
    created bigint not null
);

-- `role` is what access must be told to grant: `owner` of the account, `operator` of the platform,
-- or nothing; `granted` once it has been told.
create table person (
    id text primary key,
    account text references account (id),
    email text not null unique,
    password_hash text not null,
    role text,
    granted boolean not null,
    created bigint not null
);
create index person_by_account on person (account, id);
create index person_to_grant on person (granted);

create table session (
    id text primary key,
    person text not null references person (id),
    expires bigint not null
);
create index session_by_expiry on session (expires);

create table ended_session (
    id text primary key,
    expires bigint not null
);

create table join_token (
    hash text primary key,
    expires bigint not null
);

create table node (
    id text primary key,
    name text not null,
    public_key text not null unique,
    created bigint not null
);
