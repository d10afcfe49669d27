-- What `jobs` is told of an instance, so that a change of something else is not told.
alter table instance add column told_as text;
