-- What a release that was promoted once says of its jobs. The one with the highest turn is its
-- service's current one.
create table release (
    digest text primary key,
    service text not null,
    definitions text not null,
    turn bigint not null
);
create index release_by_turn on release (service, turn);

-- Whose instance it is, and whether its jobs may run: open, closed, ending or ended.
create table instance (
    id text primary key,
    account text not null,
    service text not null,
    state text not null
);
create index instance_ending on instance (id) where state = 'ending';

-- Jobs with the same name and version, which the same releases accept.
create table kind (
    id bigint primary key,
    service text not null,
    class text not null,
    name text not null,
    version bigint not null,
    stranded boolean not null
);
create index kind_by_service on kind (service);

-- An instance's jobs of one kind. `turn` is when the instance was served last, `most` is how many
-- may run at once, and the counters say how many there are in each state.
create table lane (
    id bigint primary key,
    kind bigint not null references kind (id),
    instance text not null,
    closed boolean not null,
    most bigint not null,
    turn bigint not null,
    blocked bigint not null,
    held bigint not null,
    delayed bigint not null,
    ready bigint not null,
    running bigint not null,
    failed bigint not null
);
-- What a claim looks at: nothing that is closed, at its limit or without work.
create index lane_waiting on lane (kind, turn, id) where ready > 0 and running < most and not closed;
create index lane_running on lane (kind) where running > 0;
create index lane_held on lane (kind) where held > 0;
create index lane_by_instance on lane (instance);

create table queue_row (
    service text not null,
    class text not null,
    paused boolean not null,
    gate text not null,
    drain_began bigint,
    drain_deadline bigint,
    concurrency bigint,
    primary key (service, class)
);
insert into queue_row (service, class, paused, gate)
    select service, 'default', paused, 'open' from queue;

-- `blocked_by` counts the jobs before it that have not succeeded; `is_awaited` says that others
-- wait for it; `unique_until` says when its key is given back; `forget` is when it is deleted.
create table job_row (
    id text primary key,
    account text not null,
    instance text not null,
    service text not null,
    lane bigint not null,
    class text not null,
    name text not null,
    version bigint not null,
    priority bigint not null,
    payload text not null,
    attempts_max bigint not null,
    timeout_seconds bigint,
    unique_until text,
    state text not null,
    blocked_by bigint not null,
    is_awaited boolean not null,
    not_before bigint not null,
    attempts bigint not null,
    lost bigint not null,
    token bigint not null,
    node text,
    release text,
    lease_expires bigint,
    cancelled boolean not null,
    progress text,
    problem text,
    output text not null,
    result text,
    created bigint not null,
    started bigint,
    ended bigint,
    forget bigint
);
-- What waits is put again by the configurator, under the same id.
insert into job_row (id, account, instance, service, lane, class, name, version, priority, payload,
    attempts_max, state, blocked_by, is_awaited, not_before, attempts, lost, token, node, release,
    cancelled, problem, output, created, started, ended, forget)
    select id, account, instance, service, 0, 'setup', name, version, 0, 'null', attempts_max,
    case state when '"succeeded"' then 'succeeded' else 'failed' end, 0, false, not_before,
    attempts, lost, token, node, release, false, problem, output, created, started, ended,
    ended + 2592000000000
    from job where ended is not null;

create table untold_row (
    job text primary key
);
insert into untold_row (job) select job from untold;

drop table untold;
drop table job;
drop table queue;
alter table job_row rename to job;
alter table untold_row rename to untold;
alter table queue_row rename to queue;

create index job_ready on job (lane, priority desc, id) where state = 'ready';
create index job_delayed on job (not_before) where state = 'delayed';
create index job_running on job (lease_expires) where state = 'running';
-- Written with `or`: SQLite sees that it fits what is asked for one state.
create index job_parked on job (lane, state, id)
    where state = 'blocked' or state = 'held' or state = 'delayed' or state = 'failed';
create index job_failed on job (id) where state = 'failed';
create index job_by_instance on job (instance, id);
create index job_forget on job (forget) where forget is not null;

-- Who waits for whom.
create table awaited (
    earlier text not null,
    job text not null,
    primary key (earlier, job)
);

-- Keys that keep a job from being queued twice; `expires` if that is by time.
create table unique_key (
    instance text not null,
    name text not null,
    word text not null,
    job text not null,
    expires bigint,
    primary key (instance, name, word)
);
create index unique_key_by_job on unique_key (job);
create index unique_key_expires on unique_key (expires) where expires is not null;
