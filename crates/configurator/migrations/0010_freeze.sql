-- Until when an instance stays on its release.
alter table instance add column frozen_until bigint;
