-- What happens while Weir reads.
insert into customer values
    (101, 'Zoë', 'Ünlü', 'zoe@example.test', null, '東京', 'Japan', '1999-12-31', 'gold', 'single', '1969-12-31 23:59:59.999');
update customer set country = 'France', city = 'Lyon' where customer_id between 1 and 10;
update customer set country = 'Spain' where customer_id between 5 and 10;
update customer set first_name = null where customer_id = 7;

begin;
insert into "order" values ('O20000001', 101, 'placed', '2024-06-01 10:00:00.5', false);
insert into order_item values
    ('O20000001', 1, 'P1', 101, 2, 999999999.999, '2024-06-01 10:00:00.5'),
    ('O20000001', 2, 'P2', 101, -1, 0.001, '2024-06-01 10:00:00.5');
update "order" set status = 'paid' where order_id = 'O20000001';
update "order" set status = 'shipped' where order_id = 'O20000001';
commit;
-- Rolled back: must appear nowhere.
begin;
insert into customer (customer_id, email) values (999, 'ghost@example.test');
rollback;

-- Values out of line are left alone: two that the snapshot had, and one that came just now.
update product set list_price = list_price + 1 where product_id in ('P4', 'P8');
insert into product select 'P50', repeat('ö', 200), 'tea', 3, false, notes from product where product_id = 'P4';
update product set list_price = 4 where product_id = 'P50';
update product set category = 'pots' where product_id = 'P50';
-- A column that the contract knows already, and one that it does not.
alter table customer add column loyalty varchar(16);
alter table order_item add column gift boolean not null default false;
update customer set loyalty = 'blue' where customer_id in (2, 3, 101);
insert into customer (customer_id, email, country, loyalty) values (102, 'new@example.test', 'Chile', 'red');
insert into order_item values ('O20000001', 3, 'P3', 101, 4, 1.5, '2024-06-01 10:00:00.5', true);
update order_item set quantity = 9 where order_id = 'O20000001' and line_number = 1;

-- Keys change: the old key is deleted, the new one is there.
update product set product_id = 'P99' where product_id = 'P19';
update customer set customer_id = 140 where customer_id = 40;
-- Deletes; one key comes back.
delete from order_item where order_id = 'O10000003';
delete from "order" where order_id = 'O10000003';
delete from customer where customer_id in (11, 12);
insert into customer (customer_id, email, country) values (12, 'back@example.test', 'Peru');
