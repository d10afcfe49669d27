#!/bin/sh
# On SQLite the standard library is enough; PostgreSQL needs its driver.
set -eu
cd "$(dirname "$0")"
[ "${DATABASE_ENGINE:-sqlite}" = postgres ] || exit 0
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
