"""The shop as a real process on a database of its own, and a customer who talks HTTP to it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from urllib.parse import urlencode, urlsplit

FOLDER = Path(__file__).parent.parent
SETUP = {"SETUP_SHOP_NAME": "Mira & Sons", "SETUP_CURRENCY": "EUR", "SETUP_SAMPLE": "home"}


class SqliteScratch:
    """A database file in a folder that goes away."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite://{self.folder.name}/shop.db"

    def drop(self):
        self.folder.cleanup()


class PostgresScratch:
    """A database of its own on the server that TEST_POSTGRES_URL names."""

    def __init__(self):
        self.server = os.environ["TEST_POSTGRES_URL"]
        self.name = f"store_test_{uuid.uuid4().hex}"
        self.url = urlsplit(self.server)._replace(path=f"/{self.name}").geturl()
        self.run(f"CREATE DATABASE {self.name}")

    def run(self, sql):
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql)

    def drop(self):
        self.run(f"DROP DATABASE {self.name} WITH (FORCE)")


class Shop:
    """Commands run to their end; the server runs until it is stopped."""

    def __init__(self, scratch, **more):
        # This interpreter, rather than `./run`: it is the one that has psycopg.
        self.environment = os.environ | SETUP | {
            "DATABASE_URL": scratch.url, "PORT": "0", "MODULES": "coupons,reviews"} | more
        self.process = None

    def start(self, command, *arguments, **options):
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "store", command, *arguments], cwd=FOLDER, text=True,
            env=self.environment, stdout=subprocess.PIPE, **options)

    def command(self, *arguments):
        with self.start(*arguments, stderr=subprocess.PIPE) as process:
            out, err = process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError(err)
        return out.strip()

    def serve(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = self.start("serve", stderr=self.log)
        line = self.process.stdout.readline()
        if "listening" not in line:
            self.log.seek(0)
            raise RuntimeError(f"the shop did not start: {self.log.read()}")
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        return code

    def customer(self):
        return Customer(self.port)


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Customer:
    """One keep-alive connection and a cookie."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookie = ""

    def ask(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        self.connection.request(method, path, body, headers)
        answer = Answer(self.connection.getresponse())
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **form):
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(form), Content_Type=kind)

    def post_json(self, path, value):
        return self.ask("POST", path, json.dumps(value), Content_Type="application/json")

    def checkout_form(self, **more):
        """The checkout form as a browser would fill it in."""
        token = re.search(r'name="order" value="(\w+)"', self.get("/checkout").text)[1]
        return {"order": token, "name": "Ada", "email": "ada@example.org",
                "address": "12 St James Square"} | more

    def stock(self, id):
        items = self.get("/api/products").json()["products"]
        return next(item["stock"] for item in items if item["id"] == id)
