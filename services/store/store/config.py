"""What the environment says."""

import os
from datetime import timedelta

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

SETUP = ("shop_name", "currency", "contact_email", "sample")


def from_environment(environment=os.environ):
    url = database_url(environment.get("DATABASE_URL", ""))
    modules = environment.get("MODULES", "").split(",")
    setup = {name: environment.get(f"SETUP_{name.upper()}", "").strip() for name in SETUP}
    return {
        "SQLALCHEMY_DATABASE_URI": url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(url),
        # Without one the shop makes one and keeps it in its database.
        "SECRET_KEY": environment.get("SECRET_KEY"),
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": environment.get("PUBLIC_URL", "").startswith("https:"),
        "PERMANENT_SESSION_LIFETIME": timedelta(days=30),
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "MAX_CONTENT_LENGTH": 1 << 20,
        "SEND_FILE_MAX_AGE_DEFAULT": 300,
        "MODULES": frozenset(name.strip() for name in modules if name.strip()),
        "SETUP": {name: value for name, value in setup.items() if value},
    }


def database_url(text):
    """What SQLAlchemy takes for what hosts write."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise RuntimeError(
            "DATABASE_URL is missing or no address: set it to `sqlite:////path/to/file.db` or"
            " `postgresql://user:password@host:port/database`") from None
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite" or not url.database:
        raise RuntimeError(f"DATABASE_URL begins with `{url.drivername}`: use a file of `sqlite`,"
                           " or `postgresql`")
    # Some write an absolute path with three slashes; the shop knows no other.
    return url.set(database="/" + url.database.lstrip("/"))


def engine_options(url):
    if url.drivername == "sqlite":
        return {"connect_args": {"timeout": 15}}
    return {"pool_pre_ping": True, "pool_size": 8, "connect_args": {"connect_timeout": 15}}
