-- The application's own table, as in frontend.sql. Nothing in it knows of Muskrat: `muskrat attach` adds the triggers.
CREATE TABLE customers (
    id          bigint NOT NULL PRIMARY KEY AUTO_INCREMENT,
    email       varchar(200) NOT NULL,
    phone       varchar(50),
    subdomain   varchar(200) NOT NULL,
    company     varchar(200),
    username    varchar(200) NOT NULL,
    volume      varchar(20) NOT NULL,    -- the plan, as text like in the applications that we met
    retention   varchar(20) NOT NULL,
    rate        varchar(20) NOT NULL,
    last_login  timestamp NULL           -- not captured: a login is nobody's business downstream
) ENGINE = InnoDB AUTO_INCREMENT = 48239;

-- The application's user may write its table; it sees neither outbox nor triggers, and captures all the same.
CREATE USER app@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO app@'%';
