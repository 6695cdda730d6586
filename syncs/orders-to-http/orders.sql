-- The orders: psql "$BACKHAUL_SECRET_WAREHOUSE_URL" -f orders.sql
create schema if not exists marts;
create table marts.open_orders (
    order_id       bigint primary key,
    status         text not null,
    total          numeric(12, 2) not null,
    currency       text not null,
    ship_city      text,
    customer_email text not null,
    placed_at      timestamptz not null
);
insert into marts.open_orders values
    (70001, 'paid', 129.90, 'EUR', 'Berlin', 'anna.becker@example.com', '2026-11-18 09:12:00+01'),
    (70002, 'packed', 18.00, 'EUR', 'Lisboa', 'ben.costa@example.com', '2026-11-18 10:40:31+00'),
    (70003, 'paid', 2450.00, 'SEK', 'Stockholm', 'greta.lindberg@example.com', '2026-11-19 07:05:10+01'),
    (70004, 'waiting', 64.50, 'EUR', null, 'farid.haddad@example.com', '2026-11-19 21:58:00+01'),
    (70005, 'paid', 310.25, 'EUR', 'Milano', 'luca.rossi@example.com', '2026-11-20 06:30:00+01');
