-- What a node reports is kept in memory, since it tells it again soon and often.
alter table node drop column releases;
alter table node drop column replicas;
drop index node_by_seen;
