-- Which release a waiting job of a set-up was bound to when it was told; none if it was not told.
alter table setup_job add column service text not null default '';
alter table setup_job add column release text not null default '';
update setup_job set service =
    (select instance.service from instance where instance.id = setup_job.instance);
create unique index setup_job_by_job on setup_job (job);
create index setup_job_waiting on setup_job (service, release) where state = '"queued"';

-- `due` and `tries` say when a database that could not be made is tried again.
alter table instance add column has_database boolean not null default true;
alter table instance add column due bigint not null default 0;
alter table instance add column tries bigint not null default 0;
drop index instance_by_state;
create index instance_creating on instance (due) where state = '"creating"';
create index instance_by_service on instance (service);
