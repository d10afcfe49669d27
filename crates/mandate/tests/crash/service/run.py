"""A service with one table. Its commands may be run again at any time."""

import http.server
import os
import sqlite3
import subprocess
import sys
import time

SCHEMA = "CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"
SEED = "INSERT INTO counter (name, value) VALUES ('visits', 0) ON CONFLICT (name) DO NOTHING"
# The shape that the release makes of the database, and whether making it fails afterwards.
SHAPE = 1
FAILS = False
SHAPED = f"INSERT INTO counter (name, value) VALUES ('shape-{SHAPE}', {SHAPE}) ON CONFLICT (name) DO NOTHING"
SHAPES = "SELECT value FROM counter WHERE name LIKE 'shape-%' ORDER BY value"


def run(statement):
    """The first column of the rows that it gives."""
    url = os.environ["DATABASE_URL"]
    if url.startswith("sqlite:"):
        with sqlite3.connect(url.removeprefix("sqlite://")) as database:
            return [str(row[0]) for row in database.execute(statement)]
    psql = ["psql", url, "-v", "ON_ERROR_STOP=1", "-qAtc", statement]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.split()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        shapes = " ".join(run(SHAPES)) if self.path == "/shapes" else ""
        self.wfile.write(f"counting, shapes {shapes}.\n".encode())

    def log_message(self, *_):
        pass


if sys.argv[1] == "serve":
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
elif sys.argv[1] == "work":
    time.sleep(0.2)
else:
    run({"migrate": SCHEMA, "seed": SEED}[sys.argv[1]])
    if sys.argv[1] == "migrate":
        run(SHAPED)
        sys.exit(FAILS)
