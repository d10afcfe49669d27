-- What waits for a worker is called ready now.
update setup_job set state = '"ready"' where state = '"queued"';
drop index setup_job_waiting;
create index setup_job_waiting on setup_job (service, release) where state = '"ready"';
