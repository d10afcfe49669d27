-- Where each instance is: what is placed stays there. `node` is null for instances of services whose
-- processes serve all; `former` is where it ran before, until it is healthy at `node`.
create table placement (
    instance text primary key,
    node text,
    former text
);

-- What a node says of itself, since when and until when it is emptied, and what the feed tells of it.
alter table node add column machine text not null default '{}';
alter table node add column drain_since bigint;
alter table node add column drain_until bigint;
alter table node add column told text;

-- What the gateways were told of a replica; none if that was before this was written down.
alter table replica add column document text;
alter table replica drop column address;
