-- The database of a farm and its three roles, for a superuser to run once, with psql:
--
--   POSTGRES_PASSWORD=… SERVICE_PASSWORD=… READER_PASSWORD=… psql --username=postgres --file=deploy/postgres/roles.sql
--
-- Then, as the owner: farmqueue migrate --service-role farmqueue_service --read-role farmqueue_reader
\set ON_ERROR_STOP on
\getenv owner_password POSTGRES_PASSWORD
\getenv service_password SERVICE_PASSWORD
\getenv reader_password READER_PASSWORD

CREATE ROLE farmqueue LOGIN PASSWORD :'owner_password';
CREATE ROLE farmqueue_service LOGIN PASSWORD :'service_password';
CREATE ROLE farmqueue_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE farmqueue_reader SET default_transaction_read_only = on;

-- A migration says who holds the lock that it waits for, and what they run.
GRANT pg_read_all_stats TO farmqueue;

CREATE DATABASE farmqueue OWNER farmqueue;
REVOKE ALL ON DATABASE farmqueue FROM PUBLIC;
GRANT CONNECT ON DATABASE farmqueue TO farmqueue_service, farmqueue_reader;
