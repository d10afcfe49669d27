-- How much an account may have, where that is not what every account may have.
create table quota (
    account text primary key,
    instances bigint not null,
    orders_an_hour bigint not null
);
create index customer_order_by_time on customer_order (account, created);

-- Whose host it is, and its labels in reverse, so that what lies below it stands together; what was
-- taken before is filled in at the next start.
alter table taken_host add column account text not null default '';
alter table taken_host add column labels text not null default '';
update taken_host set account = coalesce((select customer_order.account from customer_order
    where customer_order.instance = taken_host.instance limit 1), '');
create index taken_host_by_account on taken_host (account);
create index taken_host_by_labels on taken_host (labels);
