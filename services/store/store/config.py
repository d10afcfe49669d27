"""What the environment says."""

import os
from dataclasses import dataclass


class ConfigError(Exception):
    """A variable is missing or wrong; the message says which, and what it should be."""


@dataclass(frozen=True)
class Config:
    database_url: str
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    modules: frozenset = frozenset()
    setup: dict = None  # the set-up form's fields that were filled in, by lower-case name

    @classmethod
    def from_environment(cls, environment=os.environ):
        if not environment.get("DATABASE_URL"):
            raise ConfigError("DATABASE_URL is missing: set it to `sqlite:///path` or `postgres://…`")
        port = environment.get("PORT", "8000")
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"PORT is `{port}`: set it to a number up to 65535")
        modules = environment.get("MODULES", "").split(",")
        return cls(
            database_url=environment["DATABASE_URL"],
            host=environment.get("HOST", "127.0.0.1"),
            port=int(port),
            public_url=environment.get("PUBLIC_URL", "").rstrip("/"),
            modules=frozenset(name.strip() for name in modules if name.strip()),
            setup={
                name.removeprefix("SETUP_").lower(): value.strip()
                for name, value in environment.items()
                if name.startswith("SETUP_") and value.strip()
            },
        )
