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
CREATE TABLE queue (
    service text primary key,
    paused boolean not null
);
CREATE TABLE job (
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
CREATE INDEX job_by_state on job (state, service, id);
CREATE INDEX job_by_instance on job (instance, id);
CREATE TABLE usage_head (
    only_row bigint primary key check (only_row = 1),
    sequence bigint not null
);
CREATE TABLE usage (
    sequence bigint primary key,
    event text not null
);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('jobs_0001', 'sha256:ce8aa4f2b576c879066b52dd6e503d21869511591b096c3f2d3e539e9e28f414');
insert into feed_head (only_row, revision) values (1, 0);
insert into queue (service, paused) values ('notes', false);
insert into job (id, account, instance, service, release, name, version, command, after, timeout_seconds, attempts_max, state, attempts, output, not_before, created, started, ended, node, token, lease_expires) values ('job_0r6b2b6r5ng65bmgw08mkxgg89', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'inst_01m8am7trtencb33jaw715f8fn', 'notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf', 'migrate', 1, '["true"]', null, 900, 3, '"succeeded"', 1, '', 1795653102698490, 1795653102698490, 1795653102710337, 1795653102806528, 'node_01m8am7bcjevnam7zks1jfbvw7', 1, 1795653117710337);
insert into job (id, account, instance, service, release, name, version, command, after, timeout_seconds, attempts_max, state, attempts, output, not_before, created, started, ended, node, token, lease_expires) values ('job_16cra3g8teh7dbwd8w6azb4r22', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'inst_01m8am7trtencb33jaw715f8fn', 'notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf', 'seed', 1, '["true"]', 'job_0r6b2b6r5ng65bmgw08mkxgg89', 900, 3, '"succeeded"', 1, '', 1795653102978720, 1795653102978720, 1795653102991338, 1795653103092780, 'node_01m8am7bcjevnam7zks1jfbvw7', 1, 1795653117991338);
insert into usage_head (only_row, sequence) values (1, 2);
