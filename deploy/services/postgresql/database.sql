-- The database, who may make it a ledger, and the standby; once, on the primary: psql -v admin=… -v replica=… -f database.sql
-- All else (the schema, a login for each process and what it may) `skein cluster init` makes, as skein_admin.
-- The standby is not there yet: nothing here may wait for it.
SET synchronous_commit = local;

-- Owns the ledger and makes the other logins; no superuser. No process of Skein but `skein cluster init` logs in as it.
CREATE ROLE skein_admin LOGIN CREATEROLE PASSWORD :'admin';
-- The standby.
CREATE ROLE skein_replica LOGIN REPLICATION PASSWORD :'replica';

CREATE DATABASE skein OWNER skein_admin;
-- Who may connect says pg_hba.conf.
REVOKE TEMPORARY ON DATABASE skein FROM PUBLIC;

\connect skein
SET synchronous_commit = local;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
