-- Usage that cannot be billed as it came. Its numbers are used up, and it is kept until somebody
-- has looked at it.
create table usage_set_aside (
    source text not null,
    epoch bigint not null,
    sequence bigint not null,
    taken_at bigint not null,
    code text not null,
    detail text not null,
    account text not null,
    instance text not null,
    meter text not null,
    used_at bigint not null,
    quantity bigint not null,
    event text not null,
    note text not null,
    primary key (source, epoch, sequence)
);
create index usage_set_aside_by_time on usage_set_aside (taken_at, source, epoch, sequence);
create index usage_set_aside_by_account on usage_set_aside (account);

-- Where a source's usage is missing. Until the gap is accepted, the source waits there.
create table usage_gap (
    source text not null,
    epoch bigint not null,
    from_sequence bigint not null,
    until_sequence bigint not null,
    found_at bigint not null,
    accepted_at bigint,
    primary key (source, epoch, from_sequence)
);

-- What a service's own meter counted under the name of what jobs take was billed as jobs.
insert into usage_set_aside (source, epoch, sequence, taken_at, code, detail, account, instance,
    meter, used_at, quantity, event, note)
select source, epoch, sequence, used_at, 'meter_reserved',
    'the meter `job_milliseconds` is the platform''s own', account, instance, meter, used_at,
    quantity, event, note
from usage_event
where meter = 'job_milliseconds' and source <> 'jobs' and source not like 'jobs/%';
update usage_total set
    quantity = quantity - coalesce((
        select cast(sum(s.quantity) as bigint) from usage_set_aside s
        where s.account = usage_total.account and s.instance = usage_total.instance
        and s.used_at >= usage_total.hour_starts
        and s.used_at < usage_total.hour_starts + 3600000000), 0),
    events = events - (
        select count(*) from usage_set_aside s
        where s.account = usage_total.account and s.instance = usage_total.instance
        and s.used_at >= usage_total.hour_starts
        and s.used_at < usage_total.hour_starts + 3600000000)
where meter = 'job_milliseconds';
delete from usage_total where meter = 'job_milliseconds' and events = 0;
delete from usage_event
where meter = 'job_milliseconds' and source <> 'jobs' and source not like 'jobs/%';
