-- When an instance's jobs recur. `plan` is as the release says it; `last` is the last tick that was
-- dealt with, and `due` when the next one is to be queued: what is not due is not looked at.
create table schedule (
    instance text not null,
    name text not null,
    account text not null,
    service text not null,
    plan text not null,
    last bigint not null,
    due bigint,
    is_open boolean not null,
    primary key (instance, name)
);
create index schedule_due on schedule (due) where is_open;
create index schedule_of_service on schedule (service, name);
