-- What was made by chance for an instance, sealed, and how often any of it was made anew.
create table instance_secret (
    instance text not null references instance (id),
    name text not null,
    value text not null,
    primary key (instance, name)
);
alter table instance add column rotations bigint not null default 0;
