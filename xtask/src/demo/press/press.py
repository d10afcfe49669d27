"""A print shop: a page, and what it does in the background."""

import http.server
import json
import os
import socket
import sys
import time


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = b"<!doctype html><title>Print shop</title><h1>Print shop</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


def serve(_):
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Shop).serve_forever()


def proof(payload):
    print("a proof for", payload["tick"])


def printed(payload):
    pages = payload["text"].split("\f")
    with os.fdopen(3, "w") as told:
        for number, page in enumerate(pages, 1):
            told.write(json.dumps({"percent": 100 * number // len(pages), "note": f"page {number}"}) + "\n")
            told.flush()
            print(page)
            time.sleep(0.2)


def deliver(payload):
    host, port = payload["to"].rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        sys.exit(f"nobody is in at {payload['to']}")
    print("delivered to", payload["to"])


DO = {"serve": serve, "proof": proof, "print": printed, "deliver": deliver}
name = sys.argv[1]
DO[name]({} if name == "serve" else json.load(sys.stdin))
