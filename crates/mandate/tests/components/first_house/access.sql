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
CREATE TABLE access_grant (
    id text primary key,
    account text not null,
    principal text not null,
    given text not null,
    resource text not null,
    granted_by text not null,
    created bigint not null
);
CREATE INDEX access_grant_by_account on access_grant (account, id);
CREATE TABLE catalogue (
    service text not null,
    permission text primary key,
    title text not null,
    level text not null
);
CREATE INDEX catalogue_by_service on catalogue (service);
CREATE TABLE audit (
    id text primary key,
    account text not null,
    at bigint not null,
    principal text not null,
    action text not null,
    resource text not null,
    detail text not null,
    request text not null
);
CREATE INDEX audit_by_account on audit (account, id);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('access_0001', 'sha256:0c3c4d2188624a93d14c7095208745dd344f18e3da244bc4b125b26d2c99f2c1');
insert into feed_head (only_row, revision) values (1, 5);
insert into feed_log (revision, topic, name, body) values (1, 'grant', 'grnt_1jwxzcnxh5gtvvh94er9qfw98t', '{"grant":"grnt_1jwxzcnxh5gtvvh94er9qfw98t","principal":"user/user_01m8am7b4getes10ndasw178t3","given":"operator","on":"platform","granted_by":"service/identity","created":"2026-11-26T00:31:26.434044Z"}');
insert into feed_log (revision, topic, name, body) values (2, 'catalogue', 'notes', '{"service":"notes","permissions":[{"permission":"notes.write","title":"Write","level":"write"}]}');
insert into feed_log (revision, topic, name, body) values (3, 'grant', 'grnt_3a4bqwa642h5p9kzck7f8b1kng', '{"grant":"grnt_3a4bqwa642h5p9kzck7f8b1kng","principal":"user/user_01m8am7t94e4crst39ye26k19w","given":"owner","on":"account/acct_01m8am7t94ejzrv2ey2tth2tmf","granted_by":"service/identity","created":"2026-11-26T00:31:41.946144Z"}');
insert into feed_log (revision, topic, name, body) values (4, 'grant', 'grnt_3a4bqwa642h5p9kzck7f8b1kng', '{"grant":"grnt_3a4bqwa642h5p9kzck7f8b1kng","principal":"user/user_01m8am7t94e4crst39ye26k19w","given":"owner","on":"account/acct_01m8am7t94ejzrv2ey2tth2tmf","granted_by":"service/identity","created":"2026-11-26T00:31:41.946144Z"}');
insert into feed_log (revision, topic, name, body) values (5, 'grant', 'grnt_01m8am8345fh4rktqfvcjzvrve', '{"grant":"grnt_01m8am8345fh4rktqfvcjzvrve","principal":"user/user_01m8am82xcf12bqcs35v4cj9kv","given":"notes.write","on":"account/acct_01m8am7t94ejzrv2ey2tth2tmf/instance/inst_01m8am7trtencb33jaw715f8fn","granted_by":"user/user_01m8am7t94e4crst39ye26k19w","created":"2026-11-26T00:31:50.917701Z"}');
insert into feed_document (topic, name, revision, body) values ('grant', 'grnt_1jwxzcnxh5gtvvh94er9qfw98t', 1, '{"grant":"grnt_1jwxzcnxh5gtvvh94er9qfw98t","principal":"user/user_01m8am7b4getes10ndasw178t3","given":"operator","on":"platform","granted_by":"service/identity","created":"2026-11-26T00:31:26.434044Z"}');
insert into feed_document (topic, name, revision, body) values ('catalogue', 'notes', 2, '{"service":"notes","permissions":[{"permission":"notes.write","title":"Write","level":"write"}]}');
insert into feed_document (topic, name, revision, body) values ('grant', 'grnt_3a4bqwa642h5p9kzck7f8b1kng', 4, '{"grant":"grnt_3a4bqwa642h5p9kzck7f8b1kng","principal":"user/user_01m8am7t94e4crst39ye26k19w","given":"owner","on":"account/acct_01m8am7t94ejzrv2ey2tth2tmf","granted_by":"service/identity","created":"2026-11-26T00:31:41.946144Z"}');
insert into feed_document (topic, name, revision, body) values ('grant', 'grnt_01m8am8345fh4rktqfvcjzvrve', 5, '{"grant":"grnt_01m8am8345fh4rktqfvcjzvrve","principal":"user/user_01m8am82xcf12bqcs35v4cj9kv","given":"notes.write","on":"account/acct_01m8am7t94ejzrv2ey2tth2tmf/instance/inst_01m8am7trtencb33jaw715f8fn","granted_by":"user/user_01m8am7t94e4crst39ye26k19w","created":"2026-11-26T00:31:50.917701Z"}');
insert into feed_follower (follower) values ('main.guard');
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('user/user_01m8am7t94e4crst39ye26k19w', 'f38d12cc8af64079d60f5e7f270f9a73', 'f9cdd4ab7d6f577e1b53c467b872686364938674c0455ed42c4728e27757a725', 'Kha0QzyRJwhaJqnO8F/6k8SeULugXtjH6E4I8V8KSFcbW/vK7MoJONhZT6kJceDY82hYuwVH4eab+PU6T3Elt6Kje8wxTt3pwW8WY+6sclg8ZNma5CfNnPIEMnl2xT1MY11ybRG+id4R77MtcSpbl5DK0oCmfd/j+MkG+Dkh8Z5vOIeKYp5tYyaZRLQgAVKVYuGnyshmUw9oEEdLRFTjU3OOE4bceW790wFpGfR34Ny5aABqkKPfdb4HX5vTlTySuJ9zi2R6eLg82ATh4e1nmxVNJDoF97NGzKxkzvENLXSmhHnpqWwiHcFKLBrTFKRwnvFbv5FfdJe0lQVQZcyHlOZcfLXr5EdrE7QxsnH5cnWXQNAj8qKwn/CB25CL9+tI9ZCXlMVK42s7sjFPZXFhgtLHhmK3pf0R+R/slhm9/OGG/Wf5MIpE/OHGvu4OsIux', 1795653110942014);
insert into access_grant (id, account, principal, given, resource, granted_by, created) values ('grnt_1jwxzcnxh5gtvvh94er9qfw98t', '', 'user/user_01m8am7b4getes10ndasw178t3', 'operator', 'platform', 'service/identity', 1795653086434044);
insert into access_grant (id, account, principal, given, resource, granted_by, created) values ('grnt_3a4bqwa642h5p9kzck7f8b1kng', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'user/user_01m8am7t94e4crst39ye26k19w', 'owner', 'account/acct_01m8am7t94ejzrv2ey2tth2tmf', 'service/identity', 1795653101946144);
insert into access_grant (id, account, principal, given, resource, granted_by, created) values ('grnt_01m8am8345fh4rktqfvcjzvrve', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'user/user_01m8am82xcf12bqcs35v4cj9kv', 'notes.write', 'account/acct_01m8am7t94ejzrv2ey2tth2tmf/instance/inst_01m8am7trtencb33jaw715f8fn', 'user/user_01m8am7t94e4crst39ye26k19w', 1795653110917701);
insert into catalogue (service, permission, title, level) values ('notes', 'notes.write', 'Write', '"write"');
insert into audit (id, account, at, principal, action, resource, detail, request) values ('req_01m8am7b73ewsst79zq24hgec8', '', 1795653086435063, 'service/identity', 'access.putGrant', 'platform', '`operator` to user/user_01m8am7b4getes10ndasw178t3', 'req_01m8am7b70er9a5w1d25kap4kq');
insert into audit (id, account, at, principal, action, resource, detail, request) values ('req_01m8am7tcae38vzsaqhq0nqr0e', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 1795653101962235, 'service/identity', 'access.putGrant', 'account/acct_01m8am7t94ejzrv2ey2tth2tmf', '`owner` to user/user_01m8am7t94e4crst39ye26k19w', 'req_01m8am7tbhfkmbnvrv6k18j7vz');
insert into audit (id, account, at, principal, action, resource, detail, request) values ('req_01m8am834xfs8a39sp82xz0137', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 1795653110941863, 'user/user_01m8am7t94e4crst39ye26k19w', 'access.createGrant', 'account/acct_01m8am7t94ejzrv2ey2tth2tmf/instance/inst_01m8am7trtencb33jaw715f8fn', '`notes.write` to user/user_01m8am82xcf12bqcs35v4cj9kv', 'req_01m8am833seaebw30bxpmj628n');
