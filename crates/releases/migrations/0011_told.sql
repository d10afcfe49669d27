-- An instance is on a release, which its route says: nothing follows any more from what was healthy
-- last.
drop table healthy_release;

-- The releases that the feed tells of, by their names there.
create table told_release (
    name text primary key
);
insert into told_release (name) select service from service;
