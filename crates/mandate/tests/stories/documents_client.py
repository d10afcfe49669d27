"""A client of Kinto: `keep` writes a document, `list` says which there are."""

import sys

import kinto_http
import requests
from kinto_http.exceptions import KintoException

url, host, user, password, verb, *what = sys.argv[1:]
# Whether names under `localhost` lead here differs from machine to machine: it asks 127.0.0.1.
session = kinto_http.session.Session(server_url=f"{url}v1", auth=(user, password),
                                     headers={"Host": host})
client = kinto_http.Client(session=session, bucket="default", collection="breads")
try:
    if verb == "join":
        account = {"data": {"password": password}}
        answer = requests.put(f"{url}v1/accounts/{user}", json=account, headers={"Host": host},
                              timeout=20)
        answer.raise_for_status()
        client.create_collection(if_not_exists=True)
    if verb == "keep":
        client.create_record(data={"name": what[0]})
    print(*sorted(record["name"] for record in client.get_records()), sep="\n")
except KintoException as refused:
    if refused.response.status_code not in (401, 403):
        raise
    print("refused")
