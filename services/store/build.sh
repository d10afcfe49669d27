#!/bin/sh
# What the shop needs, in an environment of its own.
set -eu
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
.venv/bin/python -m compileall -q store migrations gunicorn.conf.py
