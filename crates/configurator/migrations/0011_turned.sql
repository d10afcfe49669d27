-- Whether an instance that is on its way is to turn back, and whether it comes without its database.
alter table move add column turned boolean not null default false;
alter table move add column beside boolean not null default false;
drop index move_under_way;
create index move_under_way on move (beside, began, instance) where ended is null;
