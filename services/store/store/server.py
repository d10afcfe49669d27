"""The HTTP server: bounded in every direction, and stopping without cutting anyone off."""

import signal
import socket
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from store.app import Request, Response

BODY_MAX = 1 << 20
DRAIN_MAX = 8 << 20  # how much of a refused body is read, so that the answer gets through
CONNECTIONS_MAX = 256
IDLE_SECONDS, REQUEST_SECONDS = 120, 15
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self';"
                               " base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "store", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece

    def handle_one_request(self):
        self.server.set_busy(self.connection, False)
        self.connection.settimeout(IDLE_SECONDS)
        super().handle_one_request()

    def parse_request(self):
        self.server.set_busy(self.connection, True)
        self.connection.settimeout(REQUEST_SECONDS)
        return super().parse_request()

    def handle_expect_100(self):
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def respond(self):
        body = self.body()
        if isinstance(body, Response):
            response, self.close_connection = body, True
        else:
            path, _, query = self.path.partition("?")
            method = "GET" if self.command == "HEAD" else self.command
            response = self.server.app.respond(Request(method, path, query, self.headers, body))
        self.send_response(response.status)
        # An answer of the application that names a header of ours knows better.
        for name, value in (HEADERS | response.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection or self.server.stopping:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond

    def body(self):
        """The request's body, or the response that refuses it."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers:
            return Response.text(411, "send a Content-Length")
        if len(lengths) > 1 or not lengths[0].isascii() or not lengths[0].isdecimal():
            return Response.text(400, "the Content-Length is not a number")
        length = int(lengths[0][:18])
        if length > BODY_MAX:
            self.drain(min(length, DRAIN_MAX))
            return Response.text(413, f"the body is larger than {BODY_MAX} bytes")
        body = self.rfile.read(length)
        return body if len(body) == length else Response.text(400, "the body ended too soon")

    def drain(self, length):
        while length > 0 and (part := self.rfile.read(min(length, 1 << 16))):
            length -= len(part)

    def log_message(self, format, *arguments):
        line = (format % arguments).translate(self._control_char_table)
        sys.stderr.write(f"{self.address_string()} {line}\n")


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False  # so that closing the server waits for the requests under way

    def __init__(self, app, host, port):
        self.app, self.stopping = app, False
        self.lock, self.busy = threading.Lock(), {}
        self.slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((host, port), Handler)

    def process_request(self, request, client_address):
        self.slots.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.lock:
            known = self.busy.pop(request, None) is not None
        super().shutdown_request(request)
        if known:
            self.slots.release()

    def set_busy(self, connection, busy):
        with self.lock:
            self.busy[connection] = busy
            if self.stopping and not busy:
                end_of_requests(connection)

    def stop(self):
        """Takes no new connection, ends the idle ones, lets the others finish their request."""
        with self.lock:
            self.stopping = True
            for connection, busy in self.busy.items():
                if not busy:
                    end_of_requests(connection)
        self.shutdown()

    def handle_error(self, request, client_address):
        # A customer who went away is no error of ours.
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            traceback.print_exc()


def end_of_requests(connection):
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass  # the other side was faster


def serve(app, host, port):
    server = Server(app, host, port)
    for number in (signal.SIGTERM, signal.SIGINT):
        # `stop` waits for the loop that this handler interrupts, hence the thread.
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
