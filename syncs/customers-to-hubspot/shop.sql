-- The shop's customers: sqlite3 shop.db < shop.sql
create table customers (
    customer_id    integer primary key,
    email          text not null,
    first_name     text,
    last_name      text not null,
    city           text,
    country        text not null,
    plan           text not null check (plan in ('free', 'starter', 'pro')),
    lifetime_value real not null,
    signed_up_on   text not null
);
insert into customers values
    (1001, 'anna.becker@example.com', 'Anna', 'Becker', 'Berlin', 'DE', 'pro', 4120.50, '2021-03-14'),
    (1002, 'ben.costa@example.com', 'Ben', 'Costa', 'Lisboa', 'PT', 'free', 0, '2025-11-02'),
    (1003, 'carla.dubois@example.com', 'Carla', 'Dubois', 'Lyon', 'FR', 'starter', 310.00, '2024-06-30'),
    (1004, 'elif.yilmaz@example.com', 'Elif', 'Yılmaz', 'Wien', 'AT', 'pro', 6890.25, '2019-09-09'),
    (1005, 'farid.haddad@example.com', 'Farid', 'Haddad', null, 'FR', 'free', 12.90, '2026-01-17'),
    (1006, 'greta.lindberg@example.com', 'Greta', 'Lindberg', 'Stockholm', 'SE', 'starter', 845.00, '2023-02-28'),
    (1007, 'ines.garcia@example.com', 'Inés', 'García', 'Madrid', 'ES', 'pro', 5004.10, '2020-12-01'),
    (1008, 'k.obrien@example.com', null, 'O''Brien', 'Dublin', 'IE', 'free', 0, '2026-10-21'),
    (1009, 'luca.rossi@example.com', 'Luca', 'Rossi', 'Milano', 'IT', 'starter', 129.99, '2025-04-05'),
    (1010, 'zoe.nakamura@example.com', 'Zoë', 'Nakamura', 'København', 'DK', 'pro', 9310.00, '2018-05-23');
