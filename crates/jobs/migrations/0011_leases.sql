-- What comes and goes with an attempt stands apart from what a job is, in small rows: a job's own row
-- is not written anew when it is handed out, nor when it succeeds, which costs several times as much.
--
-- What waits for a worker, in the order in which it is handed out. `rank` is the priority with the
-- sign turned; `bytes` is the length of the payload.
create table ready (
    lane bigint not null,
    rank bigint not null,
    job text not null,
    bytes bigint not null
);
create unique index ready_in_order on ready (lane, rank, job);
insert into ready (lane, rank, job, bytes)
    select lane, -priority, id, octet_length(payload) from job where state = 'ready';

-- Which node has which job. A job that is here runs, whatever its own row says.
create table lease (
    job text primary key,
    lane bigint not null,
    node text not null,
    token bigint not null,
    attempts bigint not null,
    release text not null,
    started bigint not null,
    expires bigint not null,
    cancelled boolean not null,
    output text not null,
    progress text
);
create index lease_by_node on lease (node);
create index lease_expires on lease (expires);
insert into lease (job, lane, node, token, attempts, release, started, expires, cancelled, output,
    progress)
    select id, lane, node, token, attempts, release, started, lease_expires, cancelled, output,
    progress from job where state = 'running';

-- What the attempts that succeeded came to. A job that is here has succeeded, whatever its own row
-- says.
create table success (
    job text primary key,
    node text,
    attempts bigint not null,
    release text,
    started bigint,
    ended bigint not null,
    forget bigint not null,
    output text not null,
    progress text,
    result text
);
create index success_forget on success (forget);
insert into success (job, node, attempts, release, started, ended, forget, output, progress, result)
    select id, node, attempts, release, started, ended, forget, output, progress, result
    from job where state = 'succeeded';

drop index job_ready;
drop index job_running;
update job set state = 'ready', ended = null, forget = null, output = '', progress = null,
    result = null where state = 'running' or state = 'succeeded';
alter table job drop column lease_expires;
alter table job drop column cancelled;
