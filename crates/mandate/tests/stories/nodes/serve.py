"""Says which process answers; its jobs note what they do in a folder that the payload names."""

import fcntl
import http.server
import json
import os
import socketserver
import sqlite3
import subprocess
import sys
import time

RELEASE = "first"
TABLE = "CREATE TABLE IF NOT EXISTS note (text TEXT);"
FIRST = "INSERT INTO note SELECT 'kept' WHERE NOT EXISTS (SELECT 1 FROM note);"
# What the release makes of it.
SHAPE = TABLE + FIRST


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"process {os.getpid()} of the {RELEASE} release\n"
        if self.path == "/notes":
            body = ask("SELECT * FROM note")
        if self.path.startswith("/keep/"):
            ask(f"INSERT INTO note (text) VALUES ('{int(self.path[6:])}')")
        body = body.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # Without looking for a name of the address, which a machine without names waits for.
        socketserver.TCPServer.server_bind(self)


def serve():
    Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()


def ask(text):
    """The rows that statements give, a line each."""
    url = os.environ["DATABASE_URL"]
    if not url.startswith("sqlite:"):
        psql = ["psql", url, "-v", "ON_ERROR_STOP=1", "-qAtc", text]
        return subprocess.run(psql, check=True, capture_output=True, text=True).stdout
    with sqlite3.connect(url.removeprefix("sqlite://")) as database:
        rows = []
        for statement in text.split(";"):
            rows = database.execute(statement).fetchall() or rows
        return "".join("|".join(map(str, row)) + "\n" for row in rows)


def migrate():
    ask(SHAPE)


def check():
    assert "kept" in ask("SELECT text FROM note").split()


def note():
    """Takes a while, and has its effect once, however often it is started. A line of the job's file
    is a word and the token of the attempt: `begins`, then `effect`, `again` if it was had already,
    or `stale` if a later attempt has begun. `beside` means that another attempt was still running."""
    payload, job = json.load(sys.stdin), os.environ["MANDATE_JOB"]
    token = int(os.environ["MANDATE_JOB_TOKEN"])
    # Each instance's processes may be another user's.
    os.umask(0)
    runs = open(os.path.join(payload["folder"], f"{job}.runs"), "a")
    file = open(os.path.join(payload["folder"], job), "a+")

    def say(choose):
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        lines = [line.split() for line in file]
        file.write(f"{choose(lines)} {token}\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_UN)

    try:
        fcntl.flock(runs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(lambda _: "beside")
    say(lambda _: "begins")
    time.sleep(payload["seconds"])

    def effect(lines):
        if any(int(other) > token for _, other in lines):
            return "stale"
        return "again" if any(word == "effect" for word, _ in lines) else "effect"

    say(effect)
    time.sleep(payload["seconds"] / 4)


{"serve": serve, "migrate": migrate, "check": check, "note": note}[sys.argv[1]]()
