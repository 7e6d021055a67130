-- Roles and the database, once, on the primary: psql -v skein=… -v reader=… -v replica=… -f roles.sql
-- The standby is not there yet: nothing here may wait for it.
SET synchronous_commit = local;

-- Owns the ledger: makes its tables and day partitions, writes and drops them.
CREATE ROLE skein LOGIN PASSWORD :'skein';
-- Reads the ledger: support, reports.
CREATE ROLE skein_reader LOGIN PASSWORD :'reader';
-- The standby.
CREATE ROLE skein_replica LOGIN REPLICATION PASSWORD :'replica';

CREATE DATABASE skein OWNER skein;
REVOKE ALL ON DATABASE skein FROM PUBLIC;
GRANT CONNECT ON DATABASE skein TO skein_reader;

\connect skein
SET synchronous_commit = local;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA skein AUTHORIZATION skein;
GRANT USAGE ON SCHEMA skein TO skein_reader;
-- New partitions come daily: what is made from now on is readable too.
ALTER DEFAULT PRIVILEGES FOR ROLE skein IN SCHEMA skein GRANT SELECT ON TABLES TO skein_reader;
