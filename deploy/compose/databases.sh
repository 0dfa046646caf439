#!/bin/sh
# PostgreSQL's image runs this once, when a server's volume is new. Each name in DATABASES gets a database and a role of
# its own, as ./dev makes them: no service works as superuser.
set -e
for name in $DATABASES; do
  psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<SQL
CREATE ROLE ${name}_user LOGIN CREATEDB PASSWORD '${name}_pass';
CREATE DATABASE ${name}_db OWNER ${name}_user;
SQL
done
