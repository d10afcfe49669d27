-- What was published is what all have agreed to; which one is current, and since when, say rollouts. Of a
-- service at most one is under way.
create table rollout (
    service text not null,
    number bigint not null,
    former text,
    release text not null,
    state text not null,
    principal text,
    begun bigint not null,
    ended bigint,
    primary key (service, number)
);
create unique index rollout_under_way on rollout (service) where ended is null;

insert into rollout (service, number, release, state, begun, ended)
    select release.service, release.turn, release.digest, '"done"', release.created, release.created
    from service join release
    on release.service = service.service and release.digest = service.digest;
-- What all had agreed to was being made current.
insert into rollout (service, number, former, release, state, begun)
    select release.service, release.turn, service.digest, release.digest, '"announcing"',
    release.created
    from release left join service on service.service = release.service
    where release.phase = '"promoting"'
    and not exists (select 1 from rollout where rollout.service = release.service
        and rollout.number >= release.turn)
    and not exists (select 1 from release as later where later.service = release.service
        and later.phase = '"promoting"' and later.turn > release.turn);
update release set phase = '"staged"' where phase = '"published"' or phase = '"promoting"';

-- The number of the rollout by which it is current.
alter table service add column rollout bigint not null default 0;
update service set rollout = coalesce((
    select max(rollout.number) from rollout
    where rollout.service = service.service and rollout.release = service.digest), 0);
