"""A diary. Its forms are sent with the origin `null`, and its script looks for a secret."""

import http.server
import os

PAGE = """<!doctype html><meta name="referrer" content="no-referrer"><title>Diary</title>
<h1>{}</h1><p id="who">{}</p><p id="seen"></p>
<form method="post" action="{}"><button id="send">Send</button></form>
<script>document.getElementById("seen").textContent = "[" + document.cookie + "]"</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer("Read " + self.path)

    def do_POST(self):
        self.answer("Sent to " + self.path)

    def answer(self, what):
        who = self.headers.get("X-Mandate-User", "a visitor")
        action = "/pages" if self.path == "/pages" else "/guests"
        page = PAGE.format(what, who, action).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Set-Cookie", "own=1; Path=/; Domain=localhost")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
