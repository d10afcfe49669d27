import os
import uuid

import psycopg
import pytest
from sqlalchemy import make_url

from running import Shop

SERVER = os.environ.get("TEST_POSTGRES_URL")
if not SERVER and os.environ.get("TEST_ENGINES") != "sqlite":
    pytest.exit("set TEST_POSTGRES_URL to postgresql://user@host:port/database, or"
                " TEST_ENGINES=sqlite to test on SQLite alone", 2)
ENGINES = ["sqlite", "postgres"] if SERVER else ["sqlite"]


@pytest.fixture(scope="session", params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture(scope="session")
def fresh_url(engine, tmp_path_factory):
    """Makes databases that go away, and gives their addresses."""
    made = []

    def make():
        name = f"store_test_{uuid.uuid4().hex}"
        if engine == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('shop')}/{name}.db"
        made.append(name)
        on_server(f"CREATE DATABASE {name}")
        return make_url(SERVER).set(database=name).render_as_string(hide_password=False)

    yield make
    for name in made:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


def on_server(sql):
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(sql)


@pytest.fixture(scope="session")
def open_shop(fresh_url):
    """A shop with the sample products, serving."""
    shop = Shop(fresh_url())
    shop.command("migrate")
    shop.command("seed")
    shop.serve()
    yield shop
    shop.stop()


@pytest.fixture
def customer(open_shop):
    with open_shop.customer() as customer:
        yield customer


@pytest.fixture
def shop(fresh_url):
    """A shop on an empty database, not serving."""
    shop = Shop(fresh_url())
    yield shop
    shop.stop()
