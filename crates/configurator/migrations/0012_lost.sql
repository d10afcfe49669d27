-- How often a migration's machine was lost, and whether the one of its step was.
alter table move add column lost bigint not null default 0;
alter table move add column job_lost boolean not null default false;
