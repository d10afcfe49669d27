"""A service with one table. Its commands may be run again at any time."""

import http.server
import os
import sqlite3
import subprocess
import sys

SCHEMA = "CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"
SEED = "INSERT INTO counter (name, value) VALUES ('visits', 0) ON CONFLICT (name) DO NOTHING"


def run(statement):
    url = os.environ["DATABASE_URL"]
    if url.startswith("sqlite:"):
        with sqlite3.connect(url.removeprefix("sqlite://")) as database:
            database.execute(statement)
    else:
        subprocess.run(["psql", url, "-v", "ON_ERROR_STOP=1", "-qc", statement], check=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"counting\n")

    def log_message(self, *_):
        pass


if sys.argv[1] == "serve":
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
else:
    run({"migrate": SCHEMA, "seed": SEED}[sys.argv[1]])
