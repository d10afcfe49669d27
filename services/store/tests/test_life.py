"""Commands and restarts, told once per engine, each on a database of its own."""

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from running import Shop
from test_store import ONE_CLOCK


def test_commands_twice_change_nothing(shop):
    shop.command("migrate")
    shop.command("migrate")
    shop.command("db", "check")  # the migrations make what the models say
    with ThreadPoolExecutor(2) as threads:
        runs = sorted(threads.map(shop.command, ["seed", "seed"]))
    assert runs == ["seeded before: nothing to do", "seeded with 8 products"]
    with shop.serve().customer() as customer:
        assert len(customer.get("/api/products").json()["products"]) == 8


def test_migrations_lead_back(shop):
    shop.command("migrate")
    shop.command("seed")
    shop.command("db", "downgrade", "base")
    shop.command("migrate")
    assert shop.command("seed") == "seeded with 8 products"


def test_orders_and_carts_survive_a_restart(shop):
    shop.command("migrate")
    shop.command("seed")
    with shop.serve().customer() as customer:
        bought = customer.post_json("/api/orders", ONE_CLOCK).json()
        customer.post("/cart", product="tall-vase", quantity=1)
        cookie = customer.cookie
    assert shop.stop() == 0
    # Without the form's values the shop remembers what it was seeded with.
    for name in ("SETUP_SHOP_NAME", "SETUP_CURRENCY"):
        del shop.environment[name]
    with shop.serve().customer() as customer:
        page = customer.get(urlsplit(bought["url"]).path).text
        assert f"Order {bought['number']}" in page
        assert "Mira &amp; Sons" in page and "€64.50" in page
        # The key that signs sessions is in the database.
        customer.cookie = cookie
        assert "Tall vase" in customer.get("/cart").text


def test_sessions_of_another_shop_are_worth_nothing(open_shop, shop):
    shop.command("migrate")
    shop.command("seed")
    with open_shop.customer() as there, shop.serve().customer() as here:
        there.post("/cart", product="tall-vase", quantity=1)
        assert "Tall vase" in there.get("/cart").text
        here.cookie = there.cookie
        assert "Your cart is empty" in here.get("/cart").text


def test_a_stop_waits_for_requests_under_way(shop):
    shop.command("migrate")
    shop.serve()
    with socket.create_connection(("127.0.0.1", shop.port), timeout=60) as connection:
        # The server says `100 Continue` once it has begun, and then waits for the body.
        connection.sendall(b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n"
                           b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
        assert b"100" in connection.recv(100)
        shop.process.terminate()
        connection.sendall(b"{}")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 422
    assert shop.stop() == 0


def test_health_needs_no_database_and_modules_hide(fresh_url):
    shop = Shop(fresh_url(), MODULES="", SETUP_SAMPLE="coffee")
    try:
        with shop.serve().customer() as customer:
            assert customer.get("/healthz").status == 200
            unready = customer.get("/")
            assert (unready.status, "Mira &amp; Sons" in unready.text) == (500, True)
            shop.command("migrate")
            assert "Soon here" in customer.get("/").text
            shop.command("seed")
            assert "Write a review" not in customer.get("/products/morning-blend").text
            assert "coupons" not in customer.get("/admin").text
            items = [{"product": "morning-blend", "quantity": 1}]
            order = ONE_CLOCK | {"items": items, "coupon": "WELCOME10"}
            assert customer.post_json("/api/orders", order).json()["discount_cents"] == 0
    finally:
        shop.stop()


def test_addresses_of_databases_are_read_as_hosts_write_them(fresh_url, engine):
    url = fresh_url()
    rest = url.partition("://")[2].lstrip("/")
    url, other = ((f"postgresql://{rest}", f"postgres://{rest}") if engine == "postgres" else
                  (f"sqlite:////{rest}", f"sqlite:///{rest}"))
    Shop(other).command("migrate")
    assert Shop(url).command("seed") == "seeded with 8 products"


@pytest.mark.parametrize("url", ["mysql://x", "", "sqlite://"])
def test_a_wrong_address_is_refused(url):
    for command in ("serve", "migrate"):
        with pytest.raises(RuntimeError, match="DATABASE_URL"):
            Shop(url).command(command)


def test_what_cannot_be_seeded_or_reported_is_told(shop):
    shop.command("migrate")
    shop.environment["SETUP_SAMPLE"] = "cars"
    with pytest.raises(RuntimeError, match="choose one of home"):
        shop.command("seed")
    with pytest.raises(RuntimeError, match="not a day"):
        shop.command("report", "someday")
