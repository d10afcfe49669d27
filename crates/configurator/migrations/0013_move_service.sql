-- Which service's instance it is, so that a service's last moves are found among those of all.
alter table move add column service text not null default '';
update move set service = (select service from instance where instance.id = move.instance);
create index move_by_service on move (service, step, ended);
