-- Why a job failed for good, and how many of its attempts were lost with their worker.
alter table job add column problem text;
alter table job add column lost bigint not null default 0;

-- Whose turn it is: the queue that was served longest ago comes first.
alter table queue add column turn bigint not null default 0;

-- The ends of jobs that have not been told yet.
create table untold (
    job text primary key references job (id)
);
insert into untold (job) select id from job where ended is not null;

-- From now on `after` names the job that is still waited for.
update job set after = null
    where after in (select id from job as earlier where earlier.state = '"succeeded"');

-- What waits, runs and has ended is found apart, so that history costs nothing.
drop index job_by_state;
create index job_due on job (release, not_before, id) where state = '"queued"' and after is null;
create index job_after on job (after) where after is not null;
create index job_leased on job (lease_expires) where state = '"running"';
create index job_on_node on job (node) where state = '"running"';
create index job_ended on job (ended) where ended is not null;
create index job_counted on job (service, state) where state <> '"succeeded"';
create index job_by_service on job (service, id);
