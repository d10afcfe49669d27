-- What waits for a worker is found by its job too: whoever takes some of it need not say where each
-- stands.
drop index ready_in_order;
create index ready_in_order on ready (lane, rank, job);
create unique index ready_by_job on ready (job);
