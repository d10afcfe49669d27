-- What a promotion was said to change when it was asked for, and what people did to the rollout. Both
-- are kept as long as the rollout is.
create table agreed (
    service text not null,
    rollout bigint not null,
    preview text,
    accepts_loss boolean not null,
    is_way_back boolean not null,
    primary key (service, rollout)
);
create table act (
    service text not null,
    rollout bigint not null,
    place bigint not null,
    at bigint not null,
    principal text not null,
    did text not null,
    primary key (service, rollout, place)
);
