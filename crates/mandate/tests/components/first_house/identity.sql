CREATE TABLE feed_head (
    only_row bigint primary key check (only_row = 1),
    revision bigint not null
);
CREATE TABLE feed_log (
    revision bigint primary key,
    topic text not null,
    name text not null,
    body text
);
CREATE TABLE feed_document (
    topic text not null,
    name text not null,
    revision bigint not null,
    body text not null,
    primary key (topic, name)
);
CREATE TABLE feed_follower (
    follower text primary key
);
CREATE TABLE repeated_request (
    principal text not null,
    idempotency_key text not null,
    fingerprint text not null,
    reply text not null,
    created bigint not null,
    primary key (principal, idempotency_key)
);
CREATE INDEX repeated_request_by_age on repeated_request (created);
CREATE TABLE account (
    id text primary key,
    title text not null,
    created bigint not null
);
CREATE TABLE person (
    id text primary key,
    account text references account (id),
    email text not null unique,
    password_hash text not null,
    role text,
    granted boolean not null,
    created bigint not null
);
CREATE INDEX person_by_account on person (account, id);
CREATE INDEX person_to_grant on person (granted);
CREATE TABLE session (
    id text primary key,
    person text not null references person (id),
    expires bigint not null
);
CREATE INDEX session_by_expiry on session (expires);
CREATE TABLE ended_session (
    id text primary key,
    expires bigint not null
);
CREATE TABLE join_token (
    hash text primary key,
    expires bigint not null
);
CREATE TABLE node (
    id text primary key,
    name text not null,
    public_key text not null unique,
    created bigint not null
);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('identity_0001', 'sha256:f5afff879a0cfccf8d0836992f42790f1b5846aeb83ef7f664e47f391560099e');
insert into feed_head (only_row, revision) values (1, 1);
insert into feed_log (revision, topic, name, body) values (1, 'node', 'node_01m8am7bcjevnam7zks1jfbvw7', '{"node":"node_01m8am7bcjevnam7zks1jfbvw7","name":"vm","public_key":"39a8222c40b367720aa64a51deb22ec64a2f68c05dfba74be2f8e3c0872ced69"}');
insert into feed_document (topic, name, revision, body) values ('node', 'node_01m8am7bcjevnam7zks1jfbvw7', 1, '{"node":"node_01m8am7bcjevnam7zks1jfbvw7","name":"vm","public_key":"39a8222c40b367720aa64a51deb22ec64a2f68c05dfba74be2f8e3c0872ced69"}');
insert into feed_follower (follower) values ('main.guard');
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('visitor', '82a73b42c7d5b13a7d5378833814cadc', '554292e426f815dd1e1f8c483a6ff15c2f319c87854972be202a112e9492f596', 'sj2eR1gWK+1uu09hLZDlEGLPPHnT3XMJdSVDEXcR9cGDMWrMSSkd4PesmF93fc1jSW5xNZ5ylzbrC7OEK3yP61l8eUpWJZX8GzvwMyZ8bKhQ04oIOhOaCp0MTeepxbmYtJr2fjHAYSxEfTrL9eu7aKGBE4qUkNoiN/WhjTxW', 1795653101870201);
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('user/user_01m8am7t94e4crst39ye26k19w', '2f8153cb5c77e3e3a748b01291a7c9e5', '03c0a40951d5236c56a5f61aedde6ba55830a0f552a4107aaef44236a5e3effb', '9kEoO3biKcZTNp5stlvZfN9dfSYc+UJHqq8b5ZK1d7/9KF9e/7REAKCZMFrZaQE4J4a/cIMc8F7EgqaQOtfoV+TlWOQsPq25ughmXY1XtYs9dBNy1GZ97WZOBjKIFeGVfpXJZN0R9hUnyZj7xLWKNuoRuATestuY+z56X/IR/aYtdn5qM6q+u/9ZdQs7Qhuph3q6Pv/oBhQZZ79VJVelyEHcDx/eAb2vc/LOm154WicEuw5cqnqMpWOTxP2ZQMWjT1Uy', 1795653110702904);
insert into account (id, title, created) values ('acct_01m8am7t94ejzrv2ey2tth2tmf', 'The Bakery', 1795653101860564);
insert into person (id, account, email, password_hash, role, granted, created) values ('user_01m8am7b4getes10ndasw178t3', null, 'operator@localhost', '$argon2id$v=19$m=19456,t=2,p=1$FUI8X7pVFeyn023UEG0o3w$voQzOEThwlVnxtmX4GpaV1FlFh6dUIqToTCgr0R+pjY', 'operator', true, 1795653086352810);
insert into person (id, account, email, password_hash, role, granted, created) values ('user_01m8am7t94e4crst39ye26k19w', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'ada@bakery.example', '$argon2id$v=19$m=19456,t=2,p=1$v+S5I0iK/N1I+jq+bQtoyQ$vyMYIHqH4w0Gr4MBZUYRomcvfbQajlbhhjcV+4mqVUo', 'owner', true, 1795653101860564);
insert into person (id, account, email, password_hash, role, granted, created) values ('user_01m8am82xcf12bqcs35v4cj9kv', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'ben@bakery.example', '$argon2id$v=19$m=19456,t=2,p=1$ZLc2LXl5QIf61a4IVYIAGA$NlW7G0gAQJ3RIUQvROtG2Rlvq+b8bIzVd5WPHvPc31Q', null, true, 1795653110700774);
insert into session (id, person, expires) values ('sess_01m8am7s69eeesks8ekr4d3yt0', 'user_01m8am7b4getes10ndasw178t3', 1795696300745604);
insert into session (id, person, expires) values ('sess_01m8am7tpfeeb8c61fz63q27m5', 'user_01m8am7t94e4crst39ye26k19w', 1795696302287870);
insert into join_token (hash, expires) values ('sha256:b2d5d1bddb171a4cdd84a9b2d14417202cd742cc6d7f10e011e4cc36600b9cf4', 9223372036854775807);
insert into node (id, name, public_key, created) values ('node_01m8am7bcjevnam7zks1jfbvw7', 'vm', '39a8222c40b367720aa64a51deb22ec64a2f68c05dfba74be2f8e3c0872ced69', 1795653086610868);
