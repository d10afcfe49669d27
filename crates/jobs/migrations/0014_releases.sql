-- The release that an instance is on, and by which the jobs of a lane are to be done; empty as long as
-- that was not told, and then it is the service's current one.
alter table instance add column release text not null default '';
alter table lane add column release text not null default '';

-- Whether what runs is to be stopped, to be done again later.
alter table lease add column stopped boolean not null default false;
