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
CREATE TABLE price_service (
    service text primary key,
    currency text not null,
    words text
);
CREATE TABLE price_book (
    service text not null references price_service (service),
    effective bigint not null,
    book text not null,
    primary key (service, effective)
);
CREATE TABLE cycle (
    instance text primary key,
    account text not null,
    service text not null references price_service (service),
    host text not null,
    unique (account, host)
);
CREATE INDEX cycle_by_account on cycle (account, instance);
CREATE INDEX cycle_by_service on cycle (service);
CREATE TABLE subscription (
    instance text not null references cycle (instance),
    since bigint not null,
    plan text not null,
    size text not null,
    modules text not null,
    primary key (instance, since)
);
CREATE TABLE usage_source (
    source text not null,
    epoch bigint not null,
    first_sequence bigint not null,
    next_sequence bigint not null,
    primary key (source, epoch)
);
CREATE TABLE usage_account (
    account text primary key,
    revision bigint not null
);
CREATE TABLE usage_event (
    source text not null,
    epoch bigint not null,
    sequence bigint not null,
    account text not null,
    revision bigint not null,
    instance text not null,
    meter text not null,
    used_at bigint not null,
    quantity bigint not null,
    event text not null,
    note text not null,
    primary key (source, epoch, sequence)
);
CREATE INDEX usage_event_by_time on usage_event (account, used_at, source, epoch, sequence);
CREATE INDEX usage_event_by_meter on usage_event (account, instance, meter, used_at);
CREATE TABLE usage_total (
    account text not null,
    hour_starts bigint not null,
    instance text not null,
    meter text not null,
    quantity bigint not null check (quantity between 0 and 1000000000000000000),
    primary key (account, hour_starts, instance, meter)
);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('billing_0001', 'sha256:a4358e0c7ae1d91fd970ef50ddfa88b0659878d1bedb0ed4c2796d15b4ff4a0e');
insert into feed_head (only_row, revision) values (1, 0);
insert into price_service (service, currency, words) values ('notes', 'USD', '{"sizes":{"small":"Small"},"modules":{"polls":"Polls"},"meters":{"requests":"Requests"},"units":{"requests":"requests"}}');
insert into price_book (service, effective, book) values ('notes', 1767225600000000, '{"service":"notes","currency":"USD","effective":"2026-01-01T00:00:00Z","plans":{"basic":{"title":"Basic","monthly":"12","sizes":{"small":{"per_hour":"0.012","minimum_seconds":60}},"modules":{"polls":{"monthly":"4"}},"meters":{"requests":{"model":"per_unit","included":1,"unit":"0.1"}},"jobs":{"per_second":"0.00002"}}}}');
insert into cycle (instance, account, service, host) values ('inst_01m8am7trtencb33jaw715f8fn', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'notes', 'bakery.localhost');
insert into cycle (instance, account, service, host) values ('inst_01m8am7vssey2rb3yk0ar2g2qs', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'notes', 'shop.localhost');
insert into subscription (instance, since, plan, size, modules) values ('inst_01m8am7trtencb33jaw715f8fn', 1795653102362161, 'basic', 'small', '["polls"]');
insert into subscription (instance, since, plan, size, modules) values ('inst_01m8am7vssey2rb3yk0ar2g2qs', 1795653103417118, 'basic', 'small', '[]');
insert into usage_source (source, epoch, first_sequence, next_sequence) values ('jobs', 1, 1, 3);
insert into usage_source (source, epoch, first_sequence, next_sequence) values ('gateway/main', 1795653086505927, 0, 3);
insert into usage_account (account, revision) values ('acct_01m8am7t94ejzrv2ey2tth2tmf', 3);
insert into usage_event (source, epoch, sequence, account, revision, instance, meter, used_at, quantity, event, note) values ('jobs', 1, 1, 'acct_01m8am7t94ejzrv2ey2tth2tmf', 1, 'inst_01m8am7trtencb33jaw715f8fn', 'job_milliseconds', 1795653102806528, 96, 'job_0r6b2b6r5ng65bmgw08mkxgg89.1', 'migrate');
insert into usage_event (source, epoch, sequence, account, revision, instance, meter, used_at, quantity, event, note) values ('jobs', 1, 2, 'acct_01m8am7t94ejzrv2ey2tth2tmf', 2, 'inst_01m8am7trtencb33jaw715f8fn', 'job_milliseconds', 1795653103092780, 101, 'job_16cra3g8teh7dbwd8w6azb4r22.1', 'seed');
insert into usage_event (source, epoch, sequence, account, revision, instance, meter, used_at, quantity, event, note) values ('gateway/main', 1795653086505927, 0, 'acct_01m8am7t94ejzrv2ey2tth2tmf', 3, 'inst_01m8am7trtencb33jaw715f8fn', 'requests', 1795653103944469, 1, 'req_01m8am7wa8eyvr4dpgz03hsqkw', 'GET /');
insert into usage_event (source, epoch, sequence, account, revision, instance, meter, used_at, quantity, event, note) values ('gateway/main', 1795653086505927, 1, 'acct_01m8am7t94ejzrv2ey2tth2tmf', 3, 'inst_01m8am7trtencb33jaw715f8fn', 'requests', 1795653104529969, 1, 'req_01m8am7wwhfpabgvqvzg5ncvmp', 'GET /');
insert into usage_event (source, epoch, sequence, account, revision, instance, meter, used_at, quantity, event, note) values ('gateway/main', 1795653086505927, 2, 'acct_01m8am7t94ejzrv2ey2tth2tmf', 3, 'inst_01m8am7trtencb33jaw715f8fn', 'requests', 1795653104539966, 1, 'req_01m8am7wwvfhhvk8v429d1jhbs', 'GET /');
insert into usage_total (account, hour_starts, instance, meter, quantity) values ('acct_01m8am7t94ejzrv2ey2tth2tmf', 1795651200000000, 'inst_01m8am7trtencb33jaw715f8fn', 'job_milliseconds', 197);
insert into usage_total (account, hour_starts, instance, meter, quantity) values ('acct_01m8am7t94ejzrv2ey2tth2tmf', 1795651200000000, 'inst_01m8am7trtencb33jaw715f8fn', 'requests', 3);
