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
CREATE TABLE publisher (
    service text primary key,
    public_key text not null
);
CREATE TABLE release (
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
CREATE INDEX release_by_phase on release (phase, created);
CREATE TABLE service (
    service text primary key,
    digest text not null
);
CREATE TABLE node (
    id text primary key,
    name text not null,
    seen bigint not null,
    releases text not null,
    replicas text not null
);
CREATE TABLE replica (
    id text primary key,
    node text not null,
    address text not null
);
CREATE INDEX replica_by_node on replica (node);
insert into migration (name, digest) values ('chassis_0001', 'sha256:62e7f2f2abf36c08cf879d49b551ef7c5fbc162b9259db617c864afa063b72b0');
insert into migration (name, digest) values ('releases_0001', 'sha256:77a6ef7289d384ec940061c53a0fbed1c6374ec2377c11b61640277f231e64f1');
insert into feed_head (only_row, revision) values (1, 3);
insert into feed_log (revision, topic, name, body) values (1, 'service', 'notes', '{"service":"notes","digest":"sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf","manifest":{"service":{"name":"notes","title":"Notes","summary":"A page for each customer.","tenancy":"dedicated"},"package":{"command":["sh","-c","cp serve.py mandate.toml prices.toml \"$PACKAGE_DIR\""]},"run":{"command":["python3","serve.py"],"health":"/"},"database":{"engines":["postgres","sqlite"],"migrate":["true"],"seed":["true"]},"setup":[["title",{"label":"Title","type":"text","options":[],"help":""}]],"modules":{"polls":{"title":"Polls","summary":"Ask the readers.","routes":["/polls"],"requires":[]}},"permissions":{"write":{"title":"Write","level":"write"}},"routes":[{"pattern":"GET /","access":"public"},{"pattern":"/polls","access":"public"},{"pattern":"POST /notes","access":{"permission":"notes.write"}}],"meters":{"requests":{"title":"Requests","unit":"requests","count":"requests"}},"sizes":{"small":{"title":"Small","cpu":500,"memory":268435456}},"jobs":{}}}');
insert into feed_log (revision, topic, name, body) values (2, 'replica', 'repl_01nd3rm1kfgp19zxjc86q037k1', '{"replica":"repl_01nd3rm1kfgp19zxjc86q037k1","service":"notes","instance":"inst_01m8am7trtencb33jaw715f8fn","account":"acct_01m8am7t94ejzrv2ey2tth2tmf","node":"node_01m8am7bcjevnam7zks1jfbvw7","address":"127.0.0.1:36301"}');
insert into feed_log (revision, topic, name, body) values (3, 'replica', 'repl_01nd3rm1kfgp19zxjc86q037k1', null);
insert into feed_document (topic, name, revision, body) values ('service', 'notes', 1, '{"service":"notes","digest":"sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf","manifest":{"service":{"name":"notes","title":"Notes","summary":"A page for each customer.","tenancy":"dedicated"},"package":{"command":["sh","-c","cp serve.py mandate.toml prices.toml \"$PACKAGE_DIR\""]},"run":{"command":["python3","serve.py"],"health":"/"},"database":{"engines":["postgres","sqlite"],"migrate":["true"],"seed":["true"]},"setup":[["title",{"label":"Title","type":"text","options":[],"help":""}]],"modules":{"polls":{"title":"Polls","summary":"Ask the readers.","routes":["/polls"],"requires":[]}},"permissions":{"write":{"title":"Write","level":"write"}},"routes":[{"pattern":"GET /","access":"public"},{"pattern":"/polls","access":"public"},{"pattern":"POST /notes","access":{"permission":"notes.write"}}],"meters":{"requests":{"title":"Requests","unit":"requests","count":"requests"}},"sizes":{"small":{"title":"Small","cpu":500,"memory":268435456}},"jobs":{}}}');
insert into feed_follower (follower) values ('main.gateway');
insert into publisher (service, public_key) values ('notes', '33534d704b61b0997977c73285d2ffed43ee46bcbf3e351a3040e209d5b43fd4');
insert into release (service, digest, phase, manifest, prices, public_key, signature, problem, created) values ('notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf', '"published"', '{"service":{"name":"notes","title":"Notes","summary":"A page for each customer.","tenancy":"dedicated"},"package":{"command":["sh","-c","cp serve.py mandate.toml prices.toml \"$PACKAGE_DIR\""]},"run":{"command":["python3","serve.py"],"health":"/"},"database":{"engines":["postgres","sqlite"],"migrate":["true"],"seed":["true"]},"setup":[["title",{"label":"Title","type":"text","options":[],"help":""}]],"modules":{"polls":{"title":"Polls","summary":"Ask the readers.","routes":["/polls"],"requires":[]}},"permissions":{"write":{"title":"Write","level":"write"}},"routes":[{"pattern":"GET /","access":"public"},{"pattern":"/polls","access":"public"},{"pattern":"POST /notes","access":{"permission":"notes.write"}}],"meters":{"requests":{"title":"Requests","unit":"requests","count":"requests"}},"sizes":{"small":{"title":"Small","cpu":500,"memory":268435456}},"jobs":{}}', '{"service":"notes","currency":"USD","effective":"2026-01-01T00:00:00Z","plans":{"basic":{"title":"Basic","monthly":"12","sizes":{"small":{"per_hour":"0.012","minimum_seconds":60}},"modules":{"polls":{"monthly":"4"}},"meters":{"requests":{"model":"per_unit","included":1,"unit":"0.1"}},"jobs":{"per_second":"0.00002"}}}}', '33534d704b61b0997977c73285d2ffed43ee46bcbf3e351a3040e209d5b43fd4', '4df18dbd3c2e73d8154057bee0b1662124453025dcecdfc99be3601ea0ee7bd8708f43508fafb49af0615602c8093596dfff3e90b4c56e6e50271aee58ac3f0a', null, 1795653101138803);
insert into service (service, digest) values ('notes', 'sha256:97b4a47350c1c31f004f2607f3a30e54c01499d49c3d5838ccb6ec62851aa4bf');
insert into node (id, name, seen, releases, replicas) values ('node_01m8am7bcjevnam7zks1jfbvw7', 'vm', 1795653113262931, '[]', '[]');
