exec psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -qAt -f change.sql >/dev/null
