"""Calls the service through the gateway at this port: once, as a stream, and in vain."""

import queue
import sys

import grpc

channel = grpc.insecure_channel(
    f"127.0.0.1:{sys.argv[1]}", options=[("grpc.default_authority", "forum.localhost")]
)
one = channel.unary_unary("/topics/one/posts")
many = channel.stream_stream("/topics/many/posts")

for size in [1, 1000, 100_000]:
    answer, call = one.with_call(b"x" * size, timeout=20)
    assert answer == b"x" * size + b" forum.localhost", answer[-40:]
    assert dict(call.trailing_metadata())["x-sum"] == str(size)

words = queue.Queue()
call = many(iter(words.get, None), timeout=20)
for word in [b"one", b"two", b"three"]:
    words.put(word)
    # What comes back is waited for before the next is sent.
    assert next(call) == word[::-1]
words.put(b"fail")
try:
    next(call)
    raise SystemExit("it was to fail")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "as you wish"

try:
    channel.unary_unary("/topics/none/posts")(b"", timeout=20)
    raise SystemExit("it was to fail")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

try:
    channel.unary_unary("/admin/x")(b"", timeout=20)
    raise SystemExit("it was to be refused")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
print("all called")
