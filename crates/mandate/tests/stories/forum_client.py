"""A member of Spirit: `write` begins a topic, `picture` puts up one of themselves and says where it is,
`list` says which topics there are."""

import sys

from browsing import PICTURE, Browser

url, host, user, password, verb, *what = sys.argv[1:]
browser = Browser(url, host)
if verb != "list":
    at = browser.sends("user/login/", {"username": user, "password": password})
    if "login" in at:
        sys.exit(print("refused"))
if verb == "write":
    title, text = what
    category = browser.sees("topic/publish/").select("select[name=category] option")[-1]["value"]
    topic = {"title": title, "comment": text, "category": category}
    browser.sends("topic/publish/", topic)
if verb == "picture":
    browser.sends("user/", {"avatar": PICTURE})
    print(browser.sees("user/").select_one("img[src*=avatars]")["src"])
else:
    print(*(topic.text.strip() for topic in browser.sees("topic/active/").select("a.topic__link")), sep="\n")
