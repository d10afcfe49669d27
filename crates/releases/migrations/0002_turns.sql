-- A service's releases take turns: the one that was published last has the highest.
alter table release add column turn bigint not null default 0;

update release set turn = (
    select count(*) from release r where r.service = release.service
    and (r.created < release.created
        or (r.created = release.created and r.digest <= release.digest))
);
create index release_by_turn on release (service, turn);
