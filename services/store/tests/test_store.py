"""What the shop does, told once per engine."""

import re
from concurrent.futures import ThreadPoolExecutor

ONE_CLOCK = {"name": "Ada", "email": "ada@example.org", "address": "London",
             "items": [{"product": "quiet-clock", "quantity": 1}]}


def fill(customer, id, stock):
    """Sets a product's stock."""
    change = stock - customer.stock(id)
    assert customer.post(f"/admin/products/{id}/stock", change=change).status == 303


def add(customer, name):
    """Adds a product with a stock of nothing."""
    answer = customer.post("/admin/products", name=name, summary=f"{name}!", price="12.50",
                           description="", stock="0", picture="tin", hue="205", shown="1")
    assert answer.status == 303


def at_once(shop, times, act):
    """Has that many customers act at the same time, and collects what `act` says."""
    def one(turn):
        with shop.customer() as customer:
            return act(customer, turn)

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def test_a_customer_buys_something(customer):
    fill(customer, "harbour-mug", 20)
    home = customer.get("/")
    assert "Mira &amp; Sons" in home.text and "€18.50" in home.text
    assert "salt-blue" in customer.get("/products/harbour-mug").text
    assert customer.post("/cart", product="harbour-mug", quantity=2).status == 303
    assert customer.post("/cart", product="wool-cushion", quantity=1).status == 303
    customer.post("/cart/change", product="wool-cushion", remove="1", quantity=1)
    assert "€37.00" in customer.get("/cart").text

    form = customer.checkout_form(coupon="welcome10")
    cart = customer.cookie
    placed = customer.post("/checkout", **form)
    assert placed.status == 303
    page = customer.get(placed.headers["Location"]).text
    assert "€33.30" in page
    number = re.search(r"<h1>Order (\d+)", page)[1]
    assert customer.stock("harbour-mug") == 18
    assert "Your cart is empty" in customer.get("/cart").text

    customer.cookie = cart
    again = customer.post("/checkout", **form)
    assert (again.status, customer.stock("harbour-mug")) == (200, 18)
    assert f"Order {number}" in again.text

    assert number in customer.get("/admin/orders").text
    place = f"/admin/orders/{number}"
    assert customer.post(place, status="lost").status == 422
    assert customer.post(place, status="cancelled").status == 303
    assert customer.post(place, status="sent").status == 422
    assert customer.stock("harbour-mug") == 20


def test_the_last_item_is_sold_once(open_shop, customer):
    fill(customer, "quiet-clock", 1)

    def buy(customer, _):
        return customer.post_json("/api/orders", ONE_CLOCK).status

    assert sorted(at_once(open_shop, 24, buy)) == [201] + [409] * 23
    assert customer.stock("quiet-clock") == 0


def test_one_form_sent_at_once_is_one_order(open_shop, customer):
    fill(customer, "tall-vase", 9)
    customer.post("/cart", product="tall-vase", quantity=1)
    form = customer.checkout_form(csrf_token=customer.csrf_token())
    cookie = customer.cookie

    def send(customer, _):
        customer.cookie = cookie
        return customer.post("/checkout", **form).status

    assert sorted(at_once(open_shop, 6, send)) == [200] * 5 + [303]
    assert customer.stock("tall-vase") == 8


def test_an_order_takes_everything_or_nothing(customer):
    fill(customer, "cedar-candle", 5)
    fill(customer, "supper-bowl", 0)
    both = [{"product": "cedar-candle", "quantity": 1}, {"product": "supper-bowl", "quantity": 1}]
    answer = customer.post_json("/api/orders", ONE_CLOCK | {"items": both})
    assert answer.status == 409
    assert "sold out" in answer.json()["error"]
    assert customer.stock("cedar-candle") == 5


def test_opposite_carts_do_not_wait_for_each_other(open_shop, customer):
    ids = ["evening-lamp", "wool-cushion"]
    for id in ids:
        fill(customer, id, 20)

    def buy(customer, turn):
        items = [{"product": id, "quantity": 1} for id in (ids if turn % 2 else ids[::-1])]
        answer = customer.post_json("/api/orders", ONE_CLOCK | {"items": items})
        return answer.status, answer.json().get("number")

    answers = at_once(open_shop, 20, buy)
    assert {status for status, _ in answers} == {201}
    assert len({number for _, number in answers}) == 20
    assert [customer.stock(id) for id in ids] == [0, 0]


def test_what_people_write_is_shown_as_text(customer):
    nasty = "<script>alert('x')</script>{0}{{ 7 * 6 }}\x00\ud800".encode("utf-8", "replace").decode()
    customer.post("/products/window-fern/reviews", author=nasty, stars=5, text=nasty)
    add(customer, nasty)
    for path in ("/", "/products/window-fern", "/admin/products"):
        page = customer.get(path)
        assert page.status == 200
        assert "<script>" not in page.text, path
        assert "&lt;script&gt;" in page.text, path
        assert "{{ 7 * 6 }}" in page.text, path
    customer.post("/cart", product="window-fern", quantity=1)
    wrong = customer.post("/checkout", **customer.checkout_form(name='"><b>', email="no"))
    assert wrong.status == 422
    assert "must look like name@example.org" in wrong.text
    assert "&#34;&gt;&lt;b&gt;" in wrong.text


def test_coupons_end(open_shop, customer):
    fill(customer, "cedar-candle", 50)
    order = ONE_CLOCK | {"coupon": "TWICE", "items": [{"product": "cedar-candle", "quantity": 1}]}
    assert customer.post("/admin/coupons", code="twice", percent=50, uses_max=2).status == 303
    again = customer.post("/admin/coupons", code="TWICE", percent=5, uses_max=2)
    assert again.status == 422 and "There is a coupon TWICE already." in again.text

    def buy(customer, _):
        return customer.post_json("/api/orders", order).status

    assert sorted(at_once(open_shop, 5, buy)) == [201, 201, 422, 422, 422]
    assert "2 of 2" in customer.get("/admin/coupons").text
    customer.post("/admin/coupons/WELCOME10")
    assert customer.post_json("/api/orders", order | {"coupon": "WELCOME10"}).status == 422
    customer.post("/admin/coupons/WELCOME10")


def test_reviews_can_be_deleted(customer):
    customer.post("/products/evening-lamp/reviews", author="Jo", stars=2, text="Too dim")
    page = customer.get("/admin/products/evening-lamp").text
    path = re.search(r"/admin/reviews/\w+/delete", page)[0]
    assert customer.post(path).status == 303
    assert "Too dim" not in customer.get("/products/evening-lamp").text
    assert customer.post(path).status == 404


def test_products_are_changed(customer):
    add(customer, "Paper bird")
    add(customer, "Paper bird")
    ids = re.findall(r'href="/products/(paper-bird[\w-]*)"', customer.get("/").text)
    assert len(set(ids)) == 2
    changed = {"name": "Paper crane", "summary": "Folds itself", "description": "", "price": "9.00",
               "picture": "tin", "hue": "12"}
    assert 'value="12.50"' in customer.get(f"/admin/products/{ids[0]}").text
    assert customer.post(f"/admin/products/{ids[0]}", **changed).status == 303
    assert customer.get(f"/products/{ids[0]}").status == 404, "no longer on sale"
    assert "Paper crane" in customer.get("/admin/products").text
    assert customer.post("/admin/products/none-such", **changed).status == 404
    wrong = customer.post(f"/admin/products/{ids[0]}", **changed | {"price": "1e3"})
    assert wrong.status == 422 and "must be an amount like 12.50" in wrong.text
    assert customer.post(f"/admin/products/{ids[1]}/stock", change=-1).status == 422
    assert 'name="stock"' in customer.get("/admin/products/new").text
    # Its colour is none of those that the form has.
    assert "As it is" in customer.get("/admin/products/cedar-candle").text


def test_a_form_needs_its_token(customer, open_shop):
    token = customer.csrf_token()
    change = {"name": "x", "code": "FREE", "percent": 100, "uses_max": 9}
    for wrong in ("", "guess", token + "x"):
        refused = customer.post("/admin/coupons", **change, csrf_token=wrong)
        assert refused.status == 400 and "open the page again" in refused.text
    with open_shop.customer() as other:
        # The token is worth nothing in another visitor's session.
        assert other.post("/admin/coupons", **change, csrf_token=token).status == 400
    assert "FREE" not in customer.get("/admin/coupons").text


def test_a_session_cannot_be_made_up(customer):
    customer.post("/cart", product="quiet-clock", quantity=1)
    assert "Quiet clock" in customer.get("/cart").text
    name, _, value = customer.cookie.partition("=")
    for wrong in (value[:-3] + "abc", "e30.aaaa.bbbb", "x"):
        customer.cookie = f"{name}={wrong}"
        page = customer.get("/cart")
        assert (page.status, "Your cart is empty" in page.text) == (200, True)


def test_bad_requests_are_refused(customer):
    assert customer.get("/nothing").status == 404
    assert customer.get("/products/%00").status == 404
    assert customer.get("/orders/" + "0" * 32).status == 404
    assert customer.get("/admin/orders/" + "9" * 60).status == 404
    assert customer.get("/admin/orders?before=" + "9" * 60).status == 200
    assert customer.post("/cart", product="quiet-clock", quantity="-1").status == 422
    assert customer.post("/cart", product="a\0b", quantity="1").status == 422
    assert customer.post("/cart", product="no-such", quantity="1").status == 404
    customer.post("/cart", product="quiet-clock", quantity=1)
    assert customer.post("/checkout", order="guess").status == 400
    assert customer.ask("DELETE", "/cart").status == 405
    assert customer.post("/api/orders", items="x").status == 415
    wrong = [[], {"items": 1}, {"items": [1]}, ONE_CLOCK | {"name": 7}, ONE_CLOCK | {"email": "\ud800"},
             ONE_CLOCK | {"items": [{"product": "no-such", "quantity": 1}]},
             ONE_CLOCK | {"items": [{"product": "quiet-clock", "quantity": 10**20}]}]
    for document in wrong:
        answer = customer.post_json("/api/orders", document)
        assert answer.status in (400, 422) and answer.json()["error"], document
    for text in ("[" * 100_000, "{", "\xff"):
        answer = customer.ask("POST", "/api/orders", text, Content_Type="application/json")
        assert answer.status == 400
    large = customer.post("/cart", product="x" * (1 << 20))
    assert large.status == 413


def test_a_connection_is_kept(customer):
    assert customer.get("/healthz").text == "ok\n"
    kept = customer.connection.sock
    head = customer.ask("HEAD", "/")
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["Content-Length"]) > 1000
    style = customer.get("/assets/style.css")
    assert style.status == 200 and "Set-Cookie" not in style.headers
    assert customer.connection.sock is kept


def test_what_stands_in_front_says_where_the_shop_is(customer):
    there = {"X_Forwarded_Host": "mira.example", "X_Forwarded_Proto": "https"}
    products = customer.ask("GET", "/api/products", **there).json()["products"]
    assert products[0]["url"] == f"https://mira.example/products/{products[0]['id']}"


def test_a_report_is_kept(open_shop, customer):
    fill(customer, "window-fern", 5)
    items = [{"product": "window-fern", "quantity": 3}]
    order = customer.post_json("/api/orders", ONE_CLOCK | {"items": items}).json()
    text = open_shop.command("report", order["created_at"][:10])
    assert re.search(r"\d × Window fern", text)
    assert open_shop.command("report", order["created_at"][:10]) == text
    assert "Window fern" in customer.get("/admin").text
    assert "sales of" in open_shop.command("report")
