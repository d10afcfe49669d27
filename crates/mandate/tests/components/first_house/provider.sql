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
CREATE TABLE offer (
    service text primary key,
    release text not null,
    manifest text not null,
    plans text not null
);
CREATE TABLE taken_host (
    host text primary key,
    instance text not null unique
);
CREATE TABLE customer_order (
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
CREATE INDEX customer_order_by_account on customer_order (account, id);
CREATE INDEX customer_order_by_instance on customer_order (instance, id);
CREATE INDEX customer_order_by_phase on customer_order (phase, id);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('provider_0001', 'sha256:0c08d1b170046795f16bef51bafc4cec89bc6867a9b56187ddc216f9d8f66e39');
insert into feed_head (only_row, revision) values (1, 0);
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('user/user_01m8am7t94e4crst39ye26k19w', '254ec189ccf1b0e3006dff60a8babb02', 'd637b1a3782b3e1ddf4fa6e4ba31377f0e152e2e4f0e4e1f368d097df06f00b1', 'XLBJNh4kFZHrdNo0BRILHaX3ILP6RNXqZBtJYt0oHxMqSXHTra6sAVcwvZ3oe24CxjpkdxJw5sh4qyLFqVOr38iRRY+wwF3O2lWyF3jXU4rzilPwbtb3DlBYdp9+7N2HwfwjNH4FBJAgkE1QtDCqGQ5Tz5UOlAK+FcF5QuGhqE14WH8jXWDR7l2/lGu6DklN/Yj5WRvEJXh5pCtCqdzwKj4XsXGdKmMJsi4sYrv5X4CUgJxqVk+dG7RoPPnLofiCSfcn3cWujsBDh6ZxVh26FNkKRGxAR9JpxsV1Ws/oVlZf/V7nwB6AZW39sxoWjInx27yQnRyWKozgL9VnDfPvFrDiudx8j6SURLd3ndNB0cHcjgK6ObIbVzm+88X9PlaqWPlR493fmUW/N5HFHeBvKkO3B5nQKstuK0tP1Jzg9uSIHPc', 1795653102387666);
insert into repeated_request (principal, idempotency_key, fingerprint, reply, created) values ('user/user_01m8am7t94e4crst39ye26k19w', 'ae3ad36d9dbaad71172275423a482e50', '4d9e4790df10553be0c12e410f79db408f6ba14afd19ce31540c840033e81010', 'D2ZfQpxnUaBS4YsJQFQBoqhP2r7okZbO0EhBAU1LqixVCg5nlsyIVm4aNoeNytwrfbYWiOZoPSlmNHHye5QEZrI9jdy66rkyzj+XaeWfz1w2239cowsBdYZ+SLsONaqK59/o7Clyle7joMiBjHeFu2N0Oz01PyveTvWkLlPKxk2Rs1w0/MXN9c/Kl/4s8qtZJz403JYsg6ixiz2C/gaG8eAFEnwxCdm5FFgOMErmK+J4BzegXdhvWimTTe+rO1JvcS44ArwcN16iQq752+gcRJoEMqU9K0WVMlqmP6mgLf2kukV17bqC/8znHp9qO0pE33GH6ty/sv/yTA7fWlwW9HG7vQ6KKd0KKY0UvWAoxTlPv+D/rOjrEHgEkPL5D0RJciIhAT9SPOH0H/YbP1MgTs0BXSTAcADcOYY', 1795653103417391);
insert into offer (service, release, manifest, plans) values ('notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf', '{"service":{"name":"notes","title":"Notes","summary":"A page for each customer.","tenancy":"dedicated"},"package":{"command":["sh","-c","cp serve.py mandate.toml prices.toml \"$PACKAGE_DIR\""]},"run":{"command":["python3","serve.py"],"health":"/"},"database":{"engines":["postgres","sqlite"],"migrate":["true"],"seed":["true"]},"setup":[["title",{"label":"Title","type":"text","options":[],"help":""}]],"modules":{"polls":{"title":"Polls","summary":"Ask the readers.","routes":["/polls"],"requires":[]}},"permissions":{"write":{"title":"Write","level":"write"}},"routes":[{"pattern":"GET /","access":"public"},{"pattern":"/polls","access":"public"},{"pattern":"POST /notes","access":{"permission":"notes.write"}}],"meters":{"requests":{"title":"Requests","unit":"requests","count":"requests"}},"sizes":{"small":{"title":"Small","cpu":500,"memory":268435456}},"jobs":{}}', '["basic"]');
insert into taken_host (host, instance) values ('bakery.localhost', 'inst_01m8am7trtencb33jaw715f8fn');
insert into taken_host (host, instance) values ('shop.localhost', 'inst_01m8am7vssey2rb3yk0ar2g2qs');
insert into customer_order (id, account, instance, service, plan, modules, size, host, phase, problem, created) values ('ordr_01m8am7trte3ga6zarq90sx99q', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'inst_01m8am7trtencb33jaw715f8fn', 'notes', 'basic', '["polls"]', 'small', 'bakery.localhost', '"complete"', null, 1795653102362161);
insert into customer_order (id, account, instance, service, plan, modules, size, host, phase, problem, created) values ('ordr_01m8am7vssftdbmj43jm5wj90f', 'acct_01m8am7t94ejzrv2ey2tth2tmf', 'inst_01m8am7vssey2rb3yk0ar2g2qs', 'notes', 'basic', '[]', 'small', 'shop.localhost', '"complete"', null, 1795653103417118);
