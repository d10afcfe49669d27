-- What becomes of an instance's new jobs while it moves to another release.
alter table instance add column gate text not null default 'open';

-- The shape of databases that a release needs, and the lowest one whose code can read what it leaves.
alter table release add column schema_number bigint not null default 0;
alter table release add column readable_from bigint not null default 0;

-- What was set aside, among all that has ended.
create index job_set_aside on job (id) where state = 'set_aside';
create index job_set_aside_by_queue on job (service, class, id) where state = 'set_aside';

-- The lanes with jobs that are still to be done. It is by an expression, so that no claim takes it for
-- the index of what waits for workers.
create index lane_with_jobs on lane ((kind + 0))
    where ready > 0 or running > 0 or delayed > 0 or blocked > 0 or held > 0;
