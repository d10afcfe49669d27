-- What `jobs` could not take is due again later, so that it holds up nobody else's set-up.
alter table setup_job add column due bigint not null default 0;
alter table setup_job add column tries bigint not null default 0;
drop index setup_job_untold;
create index setup_job_untold on setup_job (due, instance, position)
    where not told and state = '"ready"';
create index setup_job_untold_of on setup_job (instance) where not told;
