-- A job of a set-up is told to `jobs` once, which runs the current release's command. What waits is
-- told again, since `jobs` has made room for it.
drop index setup_job_waiting;
update setup_job set state = '"ready"' where state = '"queued"';
alter table setup_job drop column release;
alter table setup_job drop column service;
alter table setup_job drop column command;
alter table setup_job add column told boolean not null default false;
create index setup_job_untold on setup_job (instance, position)
    where not told and state = '"ready"';

-- How often an instance has changed, and the change that `jobs` was told last.
alter table instance add column changes bigint not null default 1;
alter table instance add column told bigint not null default 0;
create index instance_untold on instance (id) where told < changes;
