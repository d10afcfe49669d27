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
CREATE TABLE service (
    service text primary key,
    release text not null,
    manifest text not null
);
CREATE TABLE instance (
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
CREATE INDEX instance_by_account on instance (account, id);
CREATE INDEX instance_by_state on instance (state, id);
CREATE TABLE setup_job (
    instance text not null references instance (id),
    position bigint not null,
    job text not null,
    name text not null,
    command text not null,
    state text not null,
    output text not null,
    primary key (instance, position)
);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('configurator_0001', 'sha256:d1ba12edb10bf4111cd2527f6f75b99504169c90cda25dc7d50f0cc341b9d968');
insert into feed_head (only_row, revision) values (1, 6);
insert into feed_log (revision, topic, name, body) values (1, 'route', 'inst_01m8am7trtencb33jaw715f8fn', '{"instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"bakery.localhost","modules":["polls"],"size":"small","state":"creating"}');
insert into feed_log (revision, topic, name, body) values (2, 'route', 'inst_01m8am7trtencb33jaw715f8fn', '{"instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"bakery.localhost","modules":["polls"],"size":"small","state":"awaiting_setup"}');
insert into feed_log (revision, topic, name, body) values (3, 'route', 'inst_01m8am7trtencb33jaw715f8fn', '{"instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"bakery.localhost","modules":["polls"],"size":"small","state":"setting_up"}');
insert into feed_log (revision, topic, name, body) values (4, 'route', 'inst_01m8am7trtencb33jaw715f8fn', '{"instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"bakery.localhost","modules":["polls"],"size":"small","state":"open"}');
insert into feed_log (revision, topic, name, body) values (5, 'route', 'inst_01m8am7vssey2rb3yk0ar2g2qs', '{"instance":"inst_01m8am7vssey2rb3yk0ar2g2qs","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"shop.localhost","modules":[],"size":"small","state":"creating"}');
insert into feed_log (revision, topic, name, body) values (6, 'route', 'inst_01m8am7vssey2rb3yk0ar2g2qs', '{"instance":"inst_01m8am7vssey2rb3yk0ar2g2qs","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"shop.localhost","modules":[],"size":"small","state":"awaiting_setup"}');
insert into feed_document (topic, name, revision, body) values ('route', 'inst_01m8am7trtencb33jaw715f8fn', 4, '{"instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"bakery.localhost","modules":["polls"],"size":"small","state":"open"}');
insert into feed_document (topic, name, revision, body) values ('route', 'inst_01m8am7vssey2rb3yk0ar2g2qs', 6, '{"instance":"inst_01m8am7vssey2rb3yk0ar2g2qs","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","service":"notes","host":"shop.localhost","modules":[],"size":"small","state":"awaiting_setup"}');
insert into feed_follower (follower) values ('main.releases');
insert into feed_follower (follower) values ('main.gateway');
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('user/user_01m8am7t94e4crst39ye26k19w', '2a07d2e1b19f8e63d4775a4d4eb7cff5', 'afdf07a7969bff2736eefe013bf33b52c7dd050b7c7f6498cb61fbf620c74d5c', '3V1ONEppb+PqV/5Xc459g8EknakLMU0zyBGneWZo2nxY/hi91zCf1jExKyj3JRjkEPufBHk7fvzI4RIU5Glf+B0oD7+t8uQkwCsqVPkUY3eA/t2ZHgsRlW1elhQmyC/D7N0EsZIlA53xXP8oV/qrVv0kXN/XVUxccp2g2OmUi8UaSMPSOSM5fcV1HahpWwjXbwz+3iQVnxl3QAesBwapZw7fF+kCRyasljIHepAE7RKsBKENIYv2+mOnsftXvQ4KDpt2uoHZj+pK65KhgwcodTvL7QCjU7se2S0TEYy0hsndE4XN6N7pndr7KqY8C69IQmrU9/s2yodPXm8jb4aWpruQdLAsGsW5zervNuelmP0ahpmes+1UMpbnQhAh7UCiHSYMnCKowvqnlDYth9fCV8ZWKNPU3trSyshHybIjHxaO76DZ4zJxjwlGWnNMTw', 1795653102678030);
insert into service (service, release, manifest) values ('notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf', '{"service":{"name":"notes","title":"Notes","summary":"A page for each customer.","tenancy":"dedicated"},"package":{"command":["sh","-c","cp serve.py mandate.toml prices.toml \"$PACKAGE_DIR\""]},"run":{"command":["python3","serve.py"],"health":"/"},"database":{"engines":["postgres","sqlite"],"migrate":["true"],"seed":["true"]},"setup":[["title",{"label":"Title","type":"text","options":[],"help":""}]],"modules":{"polls":{"title":"Polls","summary":"Ask the readers.","routes":["/polls"],"requires":[]}},"permissions":{"write":{"title":"Write","level":"write"}},"routes":[{"pattern":"GET /","access":"public"},{"pattern":"/polls","access":"public"},{"pattern":"POST /notes","access":{"permission":"notes.write"}}],"meters":{"requests":{"title":"Requests","unit":"requests","count":"requests"}},"sizes":{"small":{"title":"Small","cpu":500,"memory":268435456}},"jobs":{}}');
insert into instance (id, account, service, host, modules, size, state, suspended, maintenance, problem, setup_key, settings, attempt, created) values ('inst_01m8am7trtencb33jaw715f8fn', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'notes', 'bakery.localhost', '["polls"]', 'small', '"open"', null, null, null, 'xOE2lBNyv39O5+zqxHn7zFH2wq+oIExePlZkoRvWmvwlgLQSx+x4cypXEB5Mr7TEuOiEl9bwyb1BPhMygpouCvvvVbJtX3+T', '5C9G5JFyJB+q+oh2PcwAH8dLSvO42u3PqOxJPcYKvw6VfSheHdzAdZvwkz2LCszApQEP1enQVm5F', 1, 1795653102409313);
insert into instance (id, account, service, host, modules, size, state, suspended, maintenance, problem, setup_key, settings, attempt, created) values ('inst_01m8am7vssey2rb3yk0ar2g2qs', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'notes', 'shop.localhost', '[]', 'small', '"awaiting_setup"', null, null, null, '3KSFD/Fa1N2P8slSjPJyKz6nyYe9b73AZstcSg52Mz3yRcf2r4A+5cdJsj4Q3bbJYgCfzAvmkctcsJ8TgEzcPvbkdVuBS1Lz', null, 0, 1795653103454052);
insert into setup_job (instance, position, job, name, command, state, output) values ('inst_01m8am7trtencb33jaw715f8fn', 0, 'job_0r6b2b6r5ng65bmgw08mkxgg89', 'migrate', '["true"]', '"succeeded"', '');
insert into setup_job (instance, position, job, name, command, state, output) values ('inst_01m8am7trtencb33jaw715f8fn', 1, 'job_16cra3g8teh7dbwd8w6azb4r22', 'seed', '["true"]', '"succeeded"', '');
