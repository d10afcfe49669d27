"""A client of TiddlyWiki's own interface: `keep` writes a page, `list` says which there are."""

import base64
import json
import sys
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

url, host, user, password, verb, *what = sys.argv[1:]
login = base64.b64encode(f"{user}:{password}".encode()).decode()
# Whether names under `localhost` lead here differs from machine to machine: it asks 127.0.0.1.
headers = {"Host": host, "Authorization": f"Basic {login}", "X-Requested-With": "TiddlyWiki"}
try:
    if verb == "keep":
        title, text = what
        page = json.dumps({"title": title, "text": text}).encode()
        headers["Content-Type"] = "application/json"
        path = f"recipes/default/tiddlers/{quote(title, safe='')}"
        urlopen(Request(url + path, page, headers, method="PUT"), timeout=20)
    seen = urlopen(Request(url + "recipes/default/tiddlers.json", headers=headers), timeout=20)
    print(*sorted(page["title"] for page in json.load(seen)), sep="\n")
except HTTPError as refused:
    if refused.code not in (401, 403):
        raise
    print("refused")
