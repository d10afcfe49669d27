"""The shop as a real process on a database of its own, and a customer who talks HTTP to it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

FOLDER = Path(__file__).parent.parent
SETUP = {"SETUP_SHOP_NAME": "Mira & Sons", "SETUP_CURRENCY": "EUR", "SETUP_SAMPLE": "home"}


class Shop:
    """Commands run to their end; the server runs until it is stopped."""

    def __init__(self, url, **more):
        # This interpreter, rather than the one that `build.sh` makes.
        self.environment = os.environ | SETUP | {
            "PYTHON": sys.executable, "DATABASE_URL": url, "PORT": "0",
            "MODULES": "coupons,reviews"} | more
        self.process = None

    def start(self, *arguments):
        return subprocess.Popen(
            ["./run", *arguments], cwd=FOLDER, text=True, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def command(self, *arguments):
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError(err)
        return out.strip()

    def serve(self):
        self.process, said = self.start("serve"), []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise RuntimeError(f"the shop did not start: {''.join(said)}")
        # Read on, so that it never waits for us.
        self.reader = threading.Thread(target=lambda: said.extend(self.process.stderr))
        self.reader.start()
        return self

    def stop(self):
        if not self.process:
            return None
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        self.reader.join()
        process.stdout.close()
        process.stderr.close()
        return code

    @contextmanager
    def customer(self):
        customer = Customer(self.port)
        with closing(customer.connection):
            yield customer


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
        self.token = None

    def ask(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # It was idle for longer than the server keeps it.
            self.connection.close()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        answer = Answer(response)
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    def get(self, path):
        return self.ask("GET", path)

    def csrf_token(self):
        """What a form of this visitor's carries."""
        if not self.token:
            page = self.get("/admin/coupons").text
            self.token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]
        return self.token

    def post(self, path, **form):
        kind = "application/x-www-form-urlencoded"
        form = {"csrf_token": self.csrf_token()} | form
        return self.ask("POST", path, urlencode(form), Content_Type=kind)

    def post_json(self, path, value):
        return self.ask("POST", path, json.dumps(value), Content_Type="application/json")

    def checkout_form(self, **more):
        """The checkout form as a browser would fill it in."""
        token = re.search(r'name="order"[^>]* value="(\w+)"', self.get("/checkout").text)[1]
        return {"order": token, "name": "Ada", "email": "ada@example.org",
                "address": "12 St James Square"} | more

    def stock(self, id):
        items = self.get("/api/products").json()["products"]
        return next(item["stock"] for item in items if item["id"] == id)
