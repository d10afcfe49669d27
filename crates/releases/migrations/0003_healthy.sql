-- The release that was healthy last, of an instance or of a shared service on a node.
create table healthy_release (
    unit text primary key,
    digest text not null
);
create index node_by_seen on node (seen);
