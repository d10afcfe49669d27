"""A server that speaks S3's language, with an empty bucket. Says where it is, and then, for each line
that it reads, what is in the bucket. If the line names a key, an upload to it is begun before, as by
somebody who is killed before the answer comes."""

import json
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
client.create_bucket(Bucket="bucket")
print(url, flush=True)
for line in sys.stdin:
    if key := line.strip():
        client.create_multipart_upload(Bucket="bucket", Key=key)
    objects = client.list_objects_v2(Bucket="bucket").get("Contents", [])
    unfinished = client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
    found = {"objects": [it["Key"] for it in objects], "unfinished": len(unfinished)}
    print(json.dumps(found), flush=True)
server.stop()
