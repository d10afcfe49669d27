-- What a change leaves as it is, is known when its turn comes: `changes` says what it changes, and
-- is absent for the order that makes the instance. `due` and `tries` say when a step that could not
-- be taken is tried again.
alter table customer_order add column changes text;
alter table customer_order add column due bigint not null default 0;
alter table customer_order add column tries bigint not null default 0;

-- Both peers bear being told again, so what was under way begins anew: billing agrees first.
update customer_order set phase = '"placed"' where phase = '"configured"';

drop index customer_order_by_phase;
drop index customer_order_by_instance;
create index customer_order_by_instance on customer_order (instance, created);
create index customer_order_due on customer_order (due)
    where phase in ('"placed"', '"agreed"', '"undoing"');

-- Whoever takes a host or changes an instance holds this row, so that they do so one by one.
create table turn (
    only_row bigint primary key check (only_row = 1)
);
insert into turn (only_row) values (1);
