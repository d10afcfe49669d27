-- What releases would make of this component. `turn` is 0 until the release is promoted; then it is
-- the turn of its last promotion, and the highest of a service is what holds.
create table proposal (
    service text not null,
    release text not null,
    body text not null,
    turn bigint not null,
    primary key (service, release)
);
