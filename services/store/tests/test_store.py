import http.client
import os
import re
import socket
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tests.running import PostgresScratch, Shop, SqliteScratch

ONE_CLOCK = {"name": "Ada", "email": "ada@example.org", "address": "London",
             "items": [{"product": "quiet-clock", "quantity": 1}]}


class Stories:
    """What the shop does; run once per engine."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = cls.Scratch()
        cls.addClassCleanup(cls.scratch.drop)
        cls.shop = Shop(cls.scratch)
        cls.shop.command("migrate")
        cls.shop.command("seed")
        cls.shop.serve()
        cls.addClassCleanup(cls.shop.stop)

    def setUp(self):
        self.customer = self.shop.customer()
        self.addCleanup(self.customer.connection.close)

    def fill(self, id, stock):
        """Sets a product's stock."""
        change = stock - self.customer.stock(id)
        self.assertEqual(self.customer.post(f"/admin/products/{id}/stock", change=change).status, 303)

    def add(self, name):
        """Adds a product with a stock of nothing."""
        answer = self.customer.post("/admin/products", name=name, summary=f"{name}!", price="12.50",
                                    description="", stock="0", picture="tin", hue="205", shown="1")
        self.assertEqual(answer.status, 303)

    def at_once(self, times, act):
        """Has that many customers act at the same time, and collects what `act` says."""
        def one(turn):
            customer = self.shop.customer()
            with closing(customer.connection):
                return act(customer, turn)

        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(one, range(times)))

    def test_a_customer_buys_something(self):
        self.fill("harbour-mug", 20)
        home = self.customer.get("/")
        self.assertIn("Mira &amp; Sons", home.text)
        self.assertIn("€18.50", home.text)
        self.assertIn("salt-blue", self.customer.get("/products/harbour-mug").text)
        self.assertEqual(self.customer.post("/cart", product="harbour-mug", quantity=2).status, 303)
        self.assertEqual(self.customer.post("/cart", product="wool-cushion", quantity=1).status, 303)
        self.customer.post("/cart/change", product="wool-cushion", remove="1", quantity=1)
        self.assertIn("€37.00", self.customer.get("/cart").text)

        form = self.customer.checkout_form(coupon="welcome10")
        cart = self.customer.cookie
        placed = self.customer.post("/checkout", **form)
        self.assertEqual(placed.status, 303)
        page = self.customer.get(placed.headers["Location"]).text
        self.assertIn("€33.30", page)
        number = re.search(r"<h1>Order (\d+)", page)[1]
        self.assertEqual(self.customer.stock("harbour-mug"), 18)

        self.customer.cookie = cart
        again = self.customer.post("/checkout", **form)
        self.assertEqual((again.status, self.customer.stock("harbour-mug")), (200, 18))
        self.assertIn(f"Order {number}", again.text)

        self.assertIn(number, self.customer.get("/admin/orders").text)
        place = f"/admin/orders/{number}"
        self.assertEqual(self.customer.post(place, status="cancelled").status, 303)
        self.assertEqual(self.customer.post(place, status="sent").status, 422)
        self.assertEqual(self.customer.stock("harbour-mug"), 20)

    def test_the_last_item_is_sold_once(self):
        self.fill("quiet-clock", 1)

        def buy(customer, _):
            return customer.post_json("/api/orders", ONE_CLOCK).status

        self.assertEqual(sorted(self.at_once(24, buy)), [201] + [409] * 23)
        self.assertEqual(self.customer.stock("quiet-clock"), 0)

    def test_one_form_sent_at_once_is_one_order(self):
        self.fill("tall-vase", 9)
        self.customer.post("/cart", product="tall-vase", quantity=1)
        form, cookie = self.customer.checkout_form(), self.customer.cookie

        def send(customer, _):
            customer.cookie = cookie
            return customer.post("/checkout", **form).status

        self.assertEqual(sorted(self.at_once(6, send)), [200] * 5 + [303])
        self.assertEqual(self.customer.stock("tall-vase"), 8)

    def test_an_order_takes_everything_or_nothing(self):
        self.fill("cedar-candle", 5)
        self.fill("supper-bowl", 0)
        both = [{"product": "cedar-candle", "quantity": 1}, {"product": "supper-bowl", "quantity": 1}]
        answer = self.customer.post_json("/api/orders", ONE_CLOCK | {"items": both})
        self.assertEqual(answer.status, 409)
        self.assertIn("sold out", answer.json()["error"])
        self.assertEqual(self.customer.stock("cedar-candle"), 5)

    def test_opposite_carts_do_not_wait_for_each_other(self):
        ids = ["evening-lamp", "wool-cushion"]
        for id in ids:
            self.fill(id, 20)

        def buy(customer, turn):
            items = [{"product": id, "quantity": 1} for id in (ids if turn % 2 else ids[::-1])]
            answer = customer.post_json("/api/orders", ONE_CLOCK | {"items": items})
            return answer.status, answer.json().get("number")

        answers = self.at_once(20, buy)
        self.assertEqual({status for status, _ in answers}, {201})
        self.assertEqual(len({number for _, number in answers}), 20)
        self.assertEqual([self.customer.stock(id) for id in ids], [0, 0])

    def test_what_people_write_is_shown_as_text(self):
        nasty = "<script>alert('x')</script>{0}{view.name}\x00\ud800".encode("utf-8", "replace").decode()
        self.customer.post("/products/window-fern/reviews", author=nasty, stars=5, text=nasty)
        self.add(nasty)
        for path in ("/", "/products/window-fern", "/admin/products"):
            page = self.customer.get(path)
            self.assertEqual(page.status, 200)
            self.assertNotIn("<script>", page.text, path)
            self.assertIn("&lt;script&gt;", page.text, path)
            self.assertIn("{view.name}", page.text, path)
        self.customer.post("/cart", product="window-fern", quantity=1)
        wrong = self.customer.post("/checkout", **self.customer.checkout_form(name='"><b>', email="no"))
        self.assertEqual(wrong.status, 422)
        self.assertIn("&quot;&gt;&lt;b&gt;", wrong.text)

    def test_coupons_end(self):
        self.fill("cedar-candle", 50)
        order = ONE_CLOCK | {"coupon": "TWICE", "items": [{"product": "cedar-candle", "quantity": 1}]}
        self.customer.post("/admin/coupons", code="twice", percent=50, uses_max=2)
        self.assertEqual(
            self.customer.post("/admin/coupons", code="TWICE", percent=5, uses_max=2).status, 422)

        def buy(customer, _):
            return customer.post_json("/api/orders", order).status

        self.assertEqual(sorted(self.at_once(5, buy)), [201, 201, 422, 422, 422])
        self.assertIn("2 of 2", self.customer.get("/admin/coupons").text)
        self.customer.post("/admin/coupons/WELCOME10")
        self.assertEqual(self.customer.post_json(
            "/api/orders", order | {"coupon": "WELCOME10"}).status, 422)
        self.customer.post("/admin/coupons/WELCOME10")

    def test_reviews_can_be_deleted(self):
        self.customer.post("/products/evening-lamp/reviews", author="Jo", stars=2, text="Too dim")
        page = self.customer.get("/admin/products/evening-lamp").text
        path = re.search(r"/admin/reviews/\w+/delete", page)[0]
        self.assertEqual(self.customer.post(path).status, 303)
        self.assertNotIn("Too dim", self.customer.get("/products/evening-lamp").text)
        self.assertEqual(self.customer.post(path).status, 404)

    def test_products_are_changed(self):
        self.add("Paper bird")
        self.add("Paper bird")
        ids = re.findall(r'href="/products/(paper-bird[\w-]*)"', self.customer.get("/").text)
        self.assertEqual(len(set(ids)), 2)
        changed = {"name": "Paper crane", "summary": "Folds itself", "description": "", "price": "9.00",
                   "picture": "tin", "hue": "12"}
        self.assertEqual(self.customer.post(f"/admin/products/{ids[0]}", **changed).status, 303)
        self.assertEqual(self.customer.get(f"/products/{ids[0]}").status, 404, "no longer on sale")
        self.assertIn("Paper crane", self.customer.get("/admin/products").text)
        self.assertEqual(self.customer.post("/admin/products/none-such", **changed).status, 404)
        wrong = self.customer.post(f"/admin/products/{ids[0]}", **changed | {"price": "1e3"})
        self.assertEqual(wrong.status, 422)
        self.assertEqual(
            self.customer.post(f"/admin/products/{ids[1]}/stock", change=-1).status, 422)

    def test_bad_requests_are_refused(self):
        customer = self.customer
        self.assertEqual(customer.get("/nothing").status, 404)
        self.assertEqual(customer.get("/products/%00").status, 404)
        self.assertEqual(customer.get("/orders/" + "0" * 32).status, 404)
        self.assertEqual(customer.get("/admin/orders/" + "9" * 60).status, 404)
        self.assertEqual(customer.ask("DELETE", "/cart").status, 405)
        self.assertEqual(customer.post("/cart", product="quiet-clock", quantity="-1").status, 422)
        self.assertEqual(customer.post("/checkout", order="guess").status, 400)
        self.assertEqual(customer.post("/api/orders", items="x").status, 415)
        for bad in ([], {"items": 1}, {"items": [1]}, ONE_CLOCK | {"name": 7}, ONE_CLOCK | {"email": "\ud800"},
                    ONE_CLOCK | {"items": [{"product": "no-such", "quantity": 1}]},
                    ONE_CLOCK | {"items": [{"product": "quiet-clock", "quantity": 10**20}]}):
            self.assertIn(customer.post_json("/api/orders", bad).status, (400, 422), bad)
        deep = customer.ask("POST", "/api/orders", "[" * 100_000, Content_Type="application/json")
        self.assertEqual(deep.status, 400)
        foreign = customer.ask("POST", "/cart", "product=quiet-clock&quantity=1", Sec_Fetch_Site="cross-site")
        self.assertEqual(foreign.status, 403)
        self.customer.cookie = "other=a b{; cart=..quiet-clock:1.x:99999.<>"
        self.assertIn("Quiet clock", customer.get("/cart").text)

    def test_bodies_are_bounded(self):
        large = self.customer.ask("POST", "/cart", b"x" * (1 << 20) + b"x")
        self.assertEqual((large.status, large.headers["Connection"]), (413, "close"))
        for length in ("-1", "x", "9" * 400, "1, 1"):
            self.assertIn(self.raw(f"Content-Length: {length}\r\n"), (400, 413), length)
        self.assertEqual(self.raw("Content-Length: 3\r\nContent-Length: 4\r\n"), 400)
        self.assertEqual(self.raw("Transfer-Encoding: chunked\r\n"), 411)
        self.assertEqual(self.raw("Content-Length: 9\r\n"), 400, "the body never came")

    def raw(self, headers):
        with socket.create_connection(("127.0.0.1", self.shop.port), timeout=60) as connection:
            connection.sendall(f"POST /cart HTTP/1.1\r\nHost: shop\r\n{headers}\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status

    def test_a_connection_is_kept(self):
        self.assertEqual(self.customer.get("/healthz").text, "ok\n")
        kept = self.customer.connection.sock
        head = self.customer.ask("HEAD", "/")
        self.assertEqual((head.status, head.text), (200, ""))
        self.assertGreater(int(head.headers["Content-Length"]), 1000)
        self.assertEqual(self.customer.get("/assets/style.css").status, 200)
        self.assertIs(self.customer.connection.sock, kept)

    def test_a_report_is_kept(self):
        self.fill("window-fern", 5)
        items = [{"product": "window-fern", "quantity": 3}]
        order = self.customer.post_json("/api/orders", ONE_CLOCK | {"items": items}).json()
        text = self.shop.command("report", order["created_at"][:10])
        self.assertRegex(text, r"\d × Window fern")
        self.assertEqual(self.shop.command("report", order["created_at"][:10]), text)
        self.assertIn("Window fern", self.customer.get("/admin").text)
        self.assertIn("sales of", self.shop.command("report"))
        with self.assertRaisesRegex(RuntimeError, "not a day"):
            self.shop.command("report", "someday")


class Life:
    """Commands and restarts; run once per engine, each on a database of its own."""

    def setUp(self):
        self.scratch = self.Scratch()
        self.addCleanup(self.scratch.drop)
        self.shop = Shop(self.scratch)

    def customer(self, shop):
        customer = shop.customer()
        self.addCleanup(customer.connection.close)
        return customer

    def test_commands_twice_change_nothing(self):
        with ThreadPoolExecutor(2) as threads:
            runs = list(threads.map(self.shop.command, ["migrate", "migrate"]))
        self.assertEqual("\n".join(runs).count("applied"), 3)
        self.assertEqual(self.shop.command("migrate"), "nothing to do")
        with ThreadPoolExecutor(2) as threads:
            runs = sorted(threads.map(self.shop.command, ["seed", "seed"]))
        self.assertEqual(runs, ["seeded before: nothing to do", "seeded with 8 products"])
        self.shop.serve()
        self.addCleanup(self.shop.stop)
        self.assertEqual(len(self.customer(self.shop).get("/api/products").json()["products"]), 8)

    def test_orders_survive_a_restart(self):
        self.shop.command("migrate")
        self.shop.command("seed")
        bought = self.customer(self.shop.serve()).post_json("/api/orders", ONE_CLOCK).json()
        self.assertEqual(self.shop.stop(), 0)
        # Without the form's values the shop remembers what it was seeded with.
        for name in ("SETUP_SHOP_NAME", "SETUP_CURRENCY"):
            del self.shop.environment[name]
        self.shop.serve()
        self.addCleanup(self.shop.stop)
        page = self.customer(self.shop).get(bought["url"]).text
        self.assertIn(f"Order {bought['number']}", page)
        self.assertIn("Mira &amp; Sons", page)
        self.assertIn("€64.50", page)

    def test_a_stop_waits_for_requests_under_way(self):
        self.shop.command("migrate")
        self.shop.serve()
        idle = self.customer(self.shop)
        idle.get("/healthz")
        with socket.create_connection(("127.0.0.1", self.shop.port), timeout=60) as connection:
            # The server says `100 Continue` once it has begun, and then waits for the body.
            connection.sendall(b"POST /cart/change HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n"
                               b"Expect: 100-continue\r\n\r\n")
            self.assertIn(b"100", connection.recv(100))
            self.shop.process.terminate()
            # Only an end of the idle connection tells us that stopping has begun.
            self.assertEqual(idle.connection.sock.recv(1), b"")
            connection.sendall(b"product=x")
            response = http.client.HTTPResponse(connection)
            response.begin()
            self.assertEqual((response.status, response.headers["Connection"]), (303, "close"))
        self.assertEqual(self.shop.stop(), 0)

    def test_health_needs_no_database_and_modules_hide(self):
        shop = Shop(self.scratch, MODULES="", SETUP_SAMPLE="coffee")
        shop.serve()
        self.addCleanup(shop.stop)
        customer = self.customer(shop)
        self.assertEqual(customer.get("/healthz").status, 200)
        self.assertEqual(customer.get("/").status, 500, "not migrated")
        shop.command("migrate")
        self.assertIn("Soon here", customer.get("/").text)
        shop.command("seed")
        self.assertNotIn("Write a review", customer.get("/products/morning-blend").text)
        self.assertNotIn("coupons", customer.get("/admin").text)
        items = [{"product": "morning-blend", "quantity": 1}]
        order = customer.post_json("/api/orders", ONE_CLOCK | {"items": items, "coupon": "WELCOME10"})
        self.assertEqual(order.json()["discount_cents"], 0)

    def test_a_wrong_environment_is_refused(self):
        for name, value in (("PORT", "http"), ("DATABASE_URL", "mysql://x"), ("DATABASE_URL", "")):
            with self.assertRaisesRegex(RuntimeError, name):
                Shop(self.scratch, **{name: value}).command("serve")
        self.shop.command("migrate")
        with self.assertRaisesRegex(RuntimeError, "choose one of home"):
            Shop(self.scratch, SETUP_SAMPLE="cars").command("seed")


class SqliteStories(Stories, unittest.TestCase):
    Scratch = SqliteScratch


class SqliteLife(Life, unittest.TestCase):
    Scratch = SqliteScratch


if "TEST_POSTGRES_URL" in os.environ:

    class PostgresStories(Stories, unittest.TestCase):
        Scratch = PostgresScratch

    class PostgresLife(Life, unittest.TestCase):
        Scratch = PostgresScratch


class Engines(unittest.TestCase):
    def test_both_engines_are_tested(self):
        known = "TEST_POSTGRES_URL" in os.environ or os.environ.get("TEST_ENGINES") == "sqlite"
        self.assertTrue(known, "set TEST_POSTGRES_URL to postgres://user@host:port/database, or"
                               " TEST_ENGINES=sqlite to test on SQLite alone")
