-- Another database, with names of its own for the same things.
CREATE TABLE customers (
    id              bigint PRIMARY KEY,
    email           text NOT NULL,
    phone           text,
    subdomain       text NOT NULL,
    company_name    text,
    login           text NOT NULL,
    plan_volume     numeric,
    plan_retention  int,
    plan_rate       numeric
);
