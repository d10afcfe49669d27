-- Whether an instance that is on its way is to turn back, and whether it only waits, or turns back.
alter table move add column turned boolean not null default false;
alter table move add column light boolean not null default false;
drop index move_under_way;
create index move_under_way on move (light, began, instance) where ended is null;
