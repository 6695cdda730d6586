-- The shop's customers, of whom three are VIPs: sqlite3 shop.db < shop.sql
create table customers (
    customer_id    integer primary key,
    email          text not null,
    plan           text not null,
    lifetime_value real not null
);
insert into customers values
    (1001, 'anna.becker@example.com', 'pro', 4120.50),
    (1002, 'ben.costa@example.com', 'free', 0),
    (1003, 'carla.dubois@example.com', 'starter', 310.00),
    (1004, 'elif.yilmaz@example.com', 'pro', 6890.25),
    (1005, 'farid.haddad@example.com', 'free', 12.90),
    (1006, 'zoe.nakamura@example.com', 'pro', 9310.00);
