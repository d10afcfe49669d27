"""A browser without scripts: it fills in the forms of a page as a person would, and keeps cookies."""

import base64
import io

import mechanicalsoup

PICTURE = io.BytesIO(base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP////////////////////////////////////////////////////////////"
    "//////////////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAv/EABQQAQAAAAAAAAAAAAAA"
    "AAAAAAD/2gAIAQEAAD8AT//Z"))
PICTURE.name = "picture.jpg"


class Browser(mechanicalsoup.StatefulBrowser):
    def __init__(self, url, host):
        super().__init__(raise_on_404=True)
        self.url_base = url
        # Whether names under `localhost` lead here differs from machine to machine: it asks 127.0.0.1.
        self.session.headers["Host"] = host

    def sees(self, path):
        answer = self.open(self.url_base + path)
        answer.raise_for_status()
        return self.page

    def sends(self, path, fields):
        """Fills in the form that has these fields and sends it; where that led to."""
        self.sees(path)
        form = self.select_form("form" + "".join(f':has([name="{name}"])' for name in fields))
        for name, value in fields.items():
            form.set(name, value)
        answer = self.submit_selected()
        answer.raise_for_status()
        return answer.url
