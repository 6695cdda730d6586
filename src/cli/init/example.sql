create table customers (
    id         integer primary key,
    email      text not null,
    first_name text not null,
    city       text,
    plan       text not null
);
insert into customers (id, email, first_name, city, plan) values
    (1, 'anna.berg@example.com', 'Anna', 'Bremen', 'free'),
    (2, 'bilal.aydin@example.com', 'Bilal', 'Köln', 'pro'),
    (3, 'chloe.martin@example.com', 'Chloé', 'Lyon', 'pro'),
    (4, 'dan.okafor@example.com', 'Dan', 'Leeds', 'free'),
    (5, 'eva.novak@example.com', 'Eva', 'Brno', 'team'),
    (6, 'finn.larsen@example.com', 'Finn', null, 'free'),
    (7, 'grace.lee@example.com', 'Grace', 'Busan', 'team'),
    (8, 'hugo.silva@example.com', 'Hugo', 'Porto', 'pro');
