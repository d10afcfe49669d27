"""What every page knows."""

import time

from flask import current_app, session

from store import shop
from store.pictures import picture


def init_app(app):
    app.jinja_env.filters |= {"money": money, "when": when}
    app.jinja_env.globals |= {"picture": picture, "has": shop.has}
    app.context_processor(lambda: {"shop": shop.settings, "in_cart": in_cart})


def without_database():
    """For a page that says that something is wrong: the database may be what is wrong."""
    return {"shop": lambda: shop.DEFAULTS | current_app.config["SETUP"], "in_cart": lambda: 0}


def in_cart():
    return sum(session.get("cart", {}).values())


def money(cents, currency=None):
    return shop.money(cents, currency or shop.settings()["currency"])


def when(seconds):
    return time.strftime("%d %b %Y, %H:%M UTC", time.gmtime(seconds))
