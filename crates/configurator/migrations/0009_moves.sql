-- The shape of an instance's database, and the lowest number of one whose code reads it. `copy` is the
-- number of the database that it has, and `copies` the highest one there was.
alter table instance add column schema_number bigint not null default 0;
alter table instance add column readable_from bigint not null default 0;
alter table instance add column copy bigint not null default 0;
alter table instance add column copies bigint not null default 0;
-- What is different while it moves.
alter table instance add column moving text;
update instance set schema_number = 1, readable_from = 1 where has_database;

-- How an instance moves to another release with its database, and how it did the last time.
create table move (
    instance text primary key references instance (id),
    former text not null,
    release text not null,
    since bigint not null,
    needs text not null,
    step text not null,
    entered bigint not null,
    copy bigint not null,
    job text,
    job_state text,
    problem text,
    began bigint not null,
    held bigint,
    ended bigint
);
create index move_under_way on move (began, instance) where ended is null;
create unique index move_by_job on move (job) where job is not null;

-- Databases that instances have moved from, kept for a while.
create table former_database (
    instance text not null references instance (id),
    copy bigint not null,
    forget bigint not null,
    primary key (instance, copy)
);
create index former_database_forget on former_database (forget);
