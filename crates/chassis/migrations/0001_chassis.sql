-- What every component's database has: its feed, and the answers to repeated requests.
create table feed_head (
    only_row bigint primary key check (only_row = 1),
    revision bigint not null
);
insert into feed_head (only_row, revision) values (1, 0);

create table feed_log (
    revision bigint primary key,
    topic text not null,
    name text not null,
    body text
);

create table feed_document (
    topic text not null,
    name text not null,
    revision bigint not null,
    body text not null,
    primary key (topic, name)
);

create table feed_follower (
    follower text primary key
);

create table repeated_request (
    principal text not null,
    idempotency_key text not null,
    fingerprint text not null,
    reply text not null,
    created bigint not null,
    primary key (principal, idempotency_key)
);
create index repeated_request_by_age on repeated_request (created);
