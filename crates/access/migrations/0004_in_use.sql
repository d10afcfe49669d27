-- The releases that instances are on, as far as they are not the current one of their service.
create table release_in_use (
    service text not null,
    release text not null,
    primary key (service, release)
);
