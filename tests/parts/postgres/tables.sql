-- The reference pipeline's four tables as PostgreSQL has them, with the rows that the connector's snapshot finds.
create table customer (
    customer_id integer primary key,
    first_name varchar(50), last_name varchar(50), email varchar(100), street varchar(100), city varchar(60),
    country varchar(40), birth_date date, segment varchar(20), marital_status varchar(20), created_at timestamp(3)
);
create table product (
    product_id varchar(20) primary key,
    description varchar(200), category varchar(40), list_price numeric(12, 3), discontinued boolean not null,
    notes text -- the contract does not know it
);
create table "order" (
    order_id varchar(20) primary key,
    customer_id integer, status varchar(20) not null, ordered_at timestamp(3) not null, is_cancellation boolean not null
);
create table order_item (
    order_id varchar(20), line_number integer,
    product_id varchar(20) not null, customer_id integer, quantity integer not null, unit_price numeric(12, 3) not null,
    ordered_at timestamp(3) not null,
    primary key (order_id, line_number)
);
-- The log has whole old rows of two tables, and of the others only keys.
alter table customer replica identity full;
alter table "order" replica identity full;
-- Of a row that is too long the description is stored out of line: an update that leaves it alone cannot carry it.
alter table product alter column description set storage external, alter column notes set storage main;

insert into customer
select n, 'First ' || n, 'Last ' || n, 'c' || n || '@example.test', n || ' Long Lane', 'Köln', 'Germany',
       date '1950-01-01' + n * 100, case n % 3 when 0 then 'gold' when 1 then 'silver' end, null,
       timestamp '2024-01-01 00:00:00.001' + n * interval '1 hour'
from generate_series(1, 40) n;
insert into product
select 'P' || n, case when n % 4 = 0 then repeat('x' || n || '-', 40) else 'Thing ' || n end,
       case n % 3 when 0 then 'tea' when 1 then 'cups' end, n * 1.005, false,
       case when n % 4 = 0 then (select string_agg(md5(i::text), '') from generate_series(1, 70) i) end
from generate_series(1, 20) n;
insert into "order"
select 'O' || (10000000 + n), nullif(n % 41, 0), 'placed', timestamp '2024-03-01 08:00:00' + n * interval '37 minutes', false
from generate_series(1, 60) n;
insert into order_item
select 'O' || (10000000 + n), line, 'P' || (1 + (n * line) % 20), nullif(n % 41, 0), n % 7 + 1, n * 0.125,
       timestamp '2024-03-01 08:00:00' + n * interval '37 minutes'
from generate_series(1, 60) n, generate_series(1, 2) line;
