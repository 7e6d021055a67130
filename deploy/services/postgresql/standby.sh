#!/bin/sh
# The synchronous standby: copies the primary once, then follows it. PRIMARY and PGDATA say whom and where; the password of
# skein_replica comes from PGPASSWORD or PGPASSFILE.
set -eu
: "${PRIMARY:=postgresql-1}" "${PGDATA:=/var/lib/postgresql/data}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A slot keeps what this standby still needs; -R writes how it connects, -X stream copies the log alongside.
    until pg_basebackup --host="$PRIMARY" --username=skein_replica --pgdata="$PGDATA" --wal-method=stream \
        --checkpoint=fast --create-slot --slot=postgresql_2 --write-recovery-conf; do
        echo "the primary is not ready; trying again" >&2
        sleep 2
    done
    chmod 700 "$PGDATA"
fi
# The name by which the primary waits for it: synchronous_standby_names.
exec postgres -D "$PGDATA" "$@" -c "primary_conninfo=host=$PRIMARY user=skein_replica application_name=postgresql_2"
