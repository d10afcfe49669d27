-- The newest events of a line come in the order of their index, also where many have one moment.
drop index usage_event_by_meter;
create index usage_event_by_meter
    on usage_event (account, instance, meter, used_at, source, epoch, sequence);
