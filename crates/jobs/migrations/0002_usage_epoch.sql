-- Which life of the sequence it is; 0 until the first event is told. A database that was made anew
-- counts from one again, and must not seem to repeat what an earlier one has told.
alter table usage_head add column epoch bigint not null default 0;
update usage_head set epoch = 1 where sequence > 0;
