"""A gRPC service without a schema: its messages are bytes."""

from concurrent import futures

import grpc


def one(request, context):
    context.set_trailing_metadata((("x-sum", str(len(request))),))
    metadata = dict(context.invocation_metadata())
    return request + b" " + metadata.get("x-forwarded-host", "").encode()


def many(requests, context):
    for request in requests:
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as you wish")
        yield request[::-1]


class Service(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == "/topics/one/posts":
            return grpc.unary_unary_rpc_method_handler(one)
        if call.method == "/topics/many/posts":
            return grpc.stream_stream_rpc_method_handler(many)
        return None


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((Service(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
