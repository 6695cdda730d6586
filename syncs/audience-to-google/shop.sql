-- The shop's customers, what they consented to, and who is not to be contacted: sqlite3 shop.db < shop.sql
create table customers (
    customer_id          integer primary key,
    email                text,
    phone                text,
    consent_ads          text,
    consent_ads_personal text
);
insert into customers values
    (1001, 'anna.becker@example.com', '+49 30 23125001', 'granted', 'granted'),
    (1002, 'ben.costa@example.com', null, 'granted', 'granted'),
    (1003, 'carla.dubois@example.com', '+33 1 99001234', 'granted', 'denied'),
    (1004, 'elif.yilmaz@example.com', '+44 20 79460958', 'granted', 'granted'),
    (1005, 'farid.haddad@example.com', '+33 1 99005678', null, null),
    (1006, 'Greta.Lindberg@example.com', null, 'granted', 'granted'),
    (1007, 'ines.garcia@example.com', null, 'granted', 'granted'),
    (1008, null, '+353 20 9100123', 'granted', 'granted'),
    (1009, 'luca.rossi@example.com', '+44 161 4960123', 'granted', 'granted'),
    (1010, 'zoe.nakamura@example.com', null, 'granted', 'granted');

create table do_not_contact (
    entry_id integer primary key,
    email    text,
    phone    text
);
insert into do_not_contact values
    (1, 'greta.lindberg@example.com', null),
    (2, null, '+44 161 4960123');
