-- How a rollout goes, and how far each instance is. `assigned` says that instances have their waves;
-- `passed` is the wave after which it has paused already.
alter table rollout add column plan text not null default '{}';
alter table rollout add column problem text;
alter table rollout add column assigned boolean not null default false;
alter table rollout add column passed bigint not null default 0;

create table move (
    service text not null,
    rollout bigint not null,
    instance text not null,
    wave bigint not null,
    state text not null,
    since bigint not null,
    problem text,
    primary key (service, rollout, instance)
);
create index move_by_state on move (service, rollout, state, wave, instance);
create index move_starting on move (instance) where state = '"starting"';
