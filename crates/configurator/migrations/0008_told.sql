-- `jobs` is told which release each instance is on.
update instance set changes = changes + 1;
create index instance_setting_up on instance (id) where state = '"setting_up"';
