-- The shop's customers and orders: sqlite3 shop.db < shop.sql
create table customers (
    customer_id text primary key,
    email       text,
    plan        text not null
);
insert into customers values
    ('c-1001', 'anna.becker@example.com', 'pro'),
    ('c-1002', 'ben.costa@example.com', 'free'),
    ('c-1003', null, 'starter');

create table orders (
    order_id    integer primary key,
    customer_id text not null,
    paid_at     text,
    total       real not null,
    currency    text not null,
    loaded_at   text not null
);
insert into orders values
    (70001, 'c-1001', '2025-11-18T08:12:00Z', 129.90, 'EUR', '2025-11-18T08:15:00Z'),
    (70002, 'c-1002', '2025-11-18T09:40:12Z', 18.50, 'EUR', '2025-11-18T09:45:00Z'),
    (70003, 'c-1001', '2025-11-19T17:05:44Z', 64.00, 'EUR', '2025-11-19T17:15:00Z'),
    (70004, 'c-1003', null, 240.00, 'EUR', '2025-11-19T17:15:00Z');
