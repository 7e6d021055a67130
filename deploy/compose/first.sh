#!/bin/sh
# Run once by the database's container, before the standby exists.
set -eu
psql --username=postgres --set=ON_ERROR_STOP=1 --set=admin="$ADMIN_PASSWORD" --set=replica="$REPLICA_PASSWORD" \
    --file=/etc/skein/database.sql
