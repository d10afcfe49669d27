-- What becomes of an instance's new jobs while it moves to another release.
alter table instance add column gate text not null default 'open';

-- What was set aside, among all that has ended.
create index job_set_aside on job (id) where state = 'set_aside';
create index job_set_aside_by_queue on job (service, class, id) where state = 'set_aside';

-- The lanes with jobs that are still to be done.
create index lane_with_jobs on lane (kind)
    where ready > 0 or running > 0 or delayed > 0 or blocked > 0 or held > 0;
