-- The release that an instance is on. What is there is on its service's current one; the gateways are
-- told so at the start.
alter table instance add column release text;
