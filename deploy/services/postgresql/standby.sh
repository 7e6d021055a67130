#!/bin/sh
# The synchronous standby: copies the primary once, then follows it. PRIMARY, NAME and PGDATA say whom, as who and where; the password of
# skein_replica comes from PGPASSWORD or PGPASSFILE. A standby whose disk is lost is made again by the same command on an empty folder, and
# so is, after a failover, the former primary: NAME=postgresql_1 PRIMARY=postgresql-2.
set -eu
: "${PRIMARY:=postgresql-1}" "${PRIMARY_PORT:=5432}" "${NAME:=postgresql_2}" "${PGDATA:=/var/lib/postgresql/data}"
export PGHOST="$PRIMARY" PGPORT="$PRIMARY_PORT" PGUSER=skein_replica
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A slot keeps what this standby still needs; one of an earlier copy is not of this one. -R writes how it connects, -X stream copies
    # the log alongside.
    until {
        psql --quiet --dbname="dbname=postgres replication=true" --command="DROP_REPLICATION_SLOT $NAME" 2>/dev/null || true
        pg_basebackup --pgdata="$PGDATA" --wal-method=stream --checkpoint=fast --create-slot --slot="$NAME" --write-recovery-conf
    }; do
        echo "the primary is not ready; trying again" >&2
        sleep 2
    done
    chmod 700 "$PGDATA"
fi
# The name by which the primary waits for it: synchronous_standby_names.
exec postgres -D "$PGDATA" "$@" -c "primary_conninfo=host=$PRIMARY port=$PRIMARY_PORT user=skein_replica application_name=$NAME"
