-- A lane says whose its jobs are, and a lease what follows when its job succeeds: whoever hands a job
-- out or is told that it is done does not read the job's own row for that.
alter table lane add column account text not null default '';
update lane set account = coalesce(
    (select account from instance where instance.id = lane.instance),
    (select account from job where job.instance = lane.instance limit 1), '');
-- Of whom nothing is known there is no job either.
delete from lane where account = '';
alter table lease add column has_key boolean not null default false;
alter table lease add column is_awaited boolean not null default false;
update lease set
    has_key = exists (select 1 from unique_key
        where unique_key.job = lease.job and unique_key.expires is null),
    is_awaited = exists (select 1 from awaited where awaited.earlier = lease.job);
