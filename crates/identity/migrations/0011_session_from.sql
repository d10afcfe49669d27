-- The session at the console that a session at an instance's host came from: they end together.
alter table session add column begun_by text;
create index session_by_begun_by on session (begun_by);
