"""What each request means."""

import json
import re
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

from store import pages, report, shop

ASSETS = Path(__file__).parent / "assets"
ORDERS_PER_PAGE = 50
ROUTES = []


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: object
    body: bytes

    def fields(self, source=None):
        """The query's fields, or the form's."""
        try:
            text = self.query if source is None else source.decode()
            parsed = parse_qs(text, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise Problem(400, "The form cannot be read.") from None
        return {name: values[0] for name, values in parsed.items()}

    def form(self):
        return self.fields(self.body)

    def json(self):
        # A page of another site can send a form unasked, but not this type.
        if self.headers.get_content_type() != "application/json":
            raise Problem(415, "Send `Content-Type: application/json`.")
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            raise Problem(400, "The body is not JSON.") from None
        if not isinstance(value, dict):
            raise Problem(400, "The body must be a JSON object.")
        return value

    def cart(self):
        cookie = re.search(r"(?:^|;\s*)cart=([^;]*)", self.headers.get("Cookie", ""))
        lines = re.findall(r"([a-z0-9-]{1,64}):([0-9]{1,2})(?=\.|$)", cookie[1] if cookie else "")
        return {id: int(n) for id, n in lines[:shop.LINES_MAX] if int(n)}


@dataclass
class Response:
    status: int
    body: bytes
    headers: dict = field(default_factory=dict)

    @classmethod
    def page(cls, page, status=200):
        return cls(status, page.encode(), {"Content-Type": "text/html; charset=utf-8",
                                           "Cache-Control": "no-store"})

    @classmethod
    def text(cls, status, text):
        return cls(status, f"{text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})

    @classmethod
    def json(cls, status, value):
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @classmethod
    def see(cls, place):
        return cls(303, b"", {"Location": place})


class Problem(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def route(method, pattern):
    regex = re.compile(re.sub(r"\{\w+\}", "([A-Za-z0-9-]{1,64})", pattern))

    def keep(function):
        ROUTES.append((method, regex, function))
        return function
    return keep


class App:
    def __init__(self, config, database):
        self.config, self.database = config, database

    def respond(self, request):
        try:
            # Browsers say where a form came from; only our own pages may send one.
            if request.method != "GET" and request.headers.get("Sec-Fetch-Site") in (
                    "cross-site", "same-site"):
                raise Problem(403, "This form was sent from another site.")
            return self.handler(request)()
        except Problem as problem:
            return self.problem(request, problem.status, str(problem))
        except shop.SoldOut as refusal:
            return self.problem(request, 409, str(refusal))
        except shop.Refused as refusal:
            return self.problem(request, 422, str(refusal))
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return self.problem(request, 500, "Something went wrong here. Please try again.")

    def handler(self, request):
        allowed = []
        for method, regex, function in ROUTES:
            if match := regex.fullmatch(request.path):
                if method == request.method:
                    return lambda: function(self, request, *match.groups())
                allowed.append(method)
        if allowed:
            raise Problem(405, f"This page takes {' and '.join(allowed)} only.")
        raise Problem(404, "There is no such page.")

    def problem(self, request, status, message):
        if request.path.startswith("/api/"):
            return Response.json(status, {"error": message})
        name = self.config.setup.get("shop_name", "Store")
        return Response.page(pages.problem(self.view({"shop_name": name}), status, message), status)

    def view(self, settings, cart=None):
        """What every page shows."""
        return SimpleNamespace(
            name=settings["shop_name"], currency=settings.get("currency", "USD"),
            email=settings.get("contact_email", ""), modules=self.config.modules,
            in_cart=sum((cart or {}).values()),
        )

    def read(self, request, load, page):
        """Answers with a page made from what `load` finds; nothing found is a 404."""
        with self.database.read() as tx:
            view = self.view(shop.settings(tx, self.config), request.cart())
            found = load(tx)
        if found is None:
            raise Problem(404, "There is no such page.")
        return Response.page(page(view, found))

    def write(self, change, place):
        """Makes the change, then shows the page it shows in; nothing changed is a 404."""
        with self.database.write() as tx:
            if change(tx) == 0:
                raise Problem(404, "There is no such thing to change.")
        return Response.see(place)

    def keep_cart(self, cart, place):
        response = Response.see(place)
        value = ".".join(f"{id}:{quantity}" for id, quantity in cart.items())
        secure = "; Secure" if self.config.public_url.startswith("https:") else ""
        age = 30 * 86400 if cart else 0
        response.headers["Set-Cookie"] = (
            f"cart={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
        return response


@route("GET", "/healthz")
def health(app, request):
    return Response.text(200, "ok")


@route("GET", "/assets/style.css")
def style(app, request):
    return asset("style.css", "text/css; charset=utf-8")


@route("GET", "/assets/icon.svg")
def icon(app, request):
    return asset("icon.svg", "image/svg+xml")


def asset(name, kind):
    headers = {"Content-Type": kind, "Cache-Control": "public, max-age=300"}
    return Response(200, (ASSETS / name).read_bytes(), headers)


# The shop


@route("GET", "/")
def home(app, request):
    return app.read(request, shop.products, pages.home)


@route("GET", "/products/{id}")
def product(app, request, id):
    def load(tx):
        item = shop.product(tx, id)
        return item and (item, shop.reviews(tx, id) if "reviews" in app.config.modules else [])
    return app.read(request, load, pages.product)


@route("POST", "/products/{id}/reviews")
def review(app, request, id):
    def change(tx):
        if not shop.product(tx, id):
            raise Problem(404, "There is no such product.")
        shop.add_review(tx, id, request.form())
    return app.write(change, f"/products/{id}#reviews")


@route("GET", "/cart")
def cart(app, request):
    return app.read(request, lambda tx: shop.cart_lines(tx, request.cart()), pages.cart)


@route("POST", "/cart")
def add_to_cart(app, request):
    form, cart = request.form(), request.cart()
    id, quantity = form.get("product", ""), shop.number(form, "quantity", "The quantity", 1, 99)
    with app.database.read() as tx:
        if not re.fullmatch("[a-z0-9-]{1,64}", id) or not shop.product(tx, id):
            raise Problem(404, "There is no such product.")
    if id not in cart and len(cart) >= shop.LINES_MAX:
        raise shop.Refused("Your cart is full.")
    cart[id] = min(cart.get(id, 0) + quantity, shop.QUANTITY_MAX)
    return app.keep_cart(cart, "/cart")


@route("POST", "/cart/change")
def change_cart(app, request):
    form, cart = request.form(), request.cart()
    if form.get("product") in cart:
        number = 0 if "remove" in form else shop.number(form, "quantity", "The quantity", 0, 99)
        cart[form["product"]] = number
    return app.keep_cart({id: quantity for id, quantity in cart.items() if quantity}, "/cart")


@route("GET", "/checkout")
def checkout(app, request):
    # The form carries the order's id: sent twice, it still is one order.
    form = {"order": shop.token()}
    return app.read(request, lambda tx: shop.cart_lines(tx, request.cart()),
                    lambda view, lines: pages.checkout(view, lines, form))


@route("POST", "/checkout")
def send_checkout(app, request):
    form, cart = request.form(), request.cart()
    id = form.get("order", "")
    if not re.fullmatch("[0-9a-f]{32}", id):
        raise Problem(400, "Please open the checkout page again.")
    try:
        fresh = place(app, form, cart, id)
    except shop.Refused as refusal:
        response = app.read(
            request, lambda tx: shop.cart_lines(tx, cart),
            lambda view, lines: pages.checkout(view, lines, form, str(refusal)))
        response.status = 409 if isinstance(refusal, shop.SoldOut) else 422
        return response
    # A redirect says that an order was placed; a form sent again just shows the order.
    return app.keep_cart({}, f"/orders/{id}") if fresh else order(app, request, id)


def place(app, form, cart, id):
    """Places the order, and says so; False if it was placed before."""
    try:
        with app.database.write() as tx:
            if shop.order(tx, id):
                return False
            currency = shop.settings(tx, app.config)["currency"]
            shop.place_order(tx, form, cart, id, currency, "coupons" in app.config.modules)
            return True
    except app.database.Duplicate:
        return False  # the same form, sent twice at once: the other one was faster


@route("GET", "/orders/{id}")
def order(app, request, id):
    return app.read(request, lambda tx: shop.order(tx, id), pages.order)


# The shopkeeper's side


@route("GET", "/admin")
def admin(app, request):
    return app.read(
        request, lambda tx: (shop.overview(tx), shop.orders(tx, 10**9, 5), report.latest(tx)),
        pages.admin)


@route("GET", "/admin/orders")
def admin_orders(app, request):
    before = request.fields().get("before", "")
    before = int(before) if re.fullmatch("[0-9]{1,9}", before) else 10**9
    return app.read(request, lambda tx: shop.orders(tx, before, ORDERS_PER_PAGE),
                    lambda view, orders: pages.orders(view, orders, ORDERS_PER_PAGE))


@route("GET", "/admin/orders/{number}")
def admin_order(app, request, number):
    return app.read(request, lambda tx: shop.order_by_number(tx, as_number(number)),
                    pages.admin_order)


@route("POST", "/admin/orders/{number}")
def change_order(app, request, number):
    status = request.form().get("status", "")
    return app.write(lambda tx: shop.set_status(tx, as_number(number), status),
                     f"/admin/orders/{number}")


def as_number(text):
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Problem(404, "There is no such order.")
    return int(text)


@route("GET", "/admin/products")
def admin_products(app, request):
    return app.read(request, lambda tx: shop.products(tx, hidden=True), pages.products)


@route("GET", "/admin/products/new")
def new_product(app, request):
    blank = SimpleNamespace(id="", name="", summary="", description="", price=0, stock=0,
                            picture="bag", hue=200, shown=1)
    return app.read(request, lambda tx: (blank, []), pages.edit_product)


@route("POST", "/admin/products")
def add_product(app, request):
    form = request.form()
    stock = shop.number(form, "stock", "The stock", 0, 1_000_000)
    return app.write(lambda tx: shop.add_product(tx, shop.product_fields(form), stock),
                     "/admin/products")


@route("GET", "/admin/products/{id}")
def admin_product(app, request, id):
    def load(tx):
        item = shop.product(tx, id, hidden=True)
        return item and (item, shop.reviews(tx, id) if "reviews" in app.config.modules else [])
    return app.read(request, load, pages.edit_product)


@route("POST", "/admin/products/{id}")
def change_product(app, request, id):
    fields = shop.product_fields(request.form())
    return app.write(lambda tx: shop.change_product(tx, id, fields), "/admin/products")


@route("POST", "/admin/products/{id}/stock")
def change_stock(app, request, id):
    return app.write(lambda tx: shop.change_stock(tx, id, request.form()), "/admin/products")


@route("GET", "/admin/coupons")
def admin_coupons(app, request):
    return app.read(request, shop.coupons, pages.coupons)


@route("POST", "/admin/coupons")
def add_coupon(app, request):
    return app.write(lambda tx: shop.add_coupon(tx, request.form()), "/admin/coupons")


@route("POST", "/admin/coupons/{code}")
def switch_coupon(app, request, code):
    sql = "UPDATE coupons SET active = 1 - active WHERE code = ?"
    return app.write(lambda tx: tx.run(sql, code), "/admin/coupons")


@route("POST", "/admin/reviews/{id}/delete")
def delete_review(app, request, id):
    return app.write(lambda tx: tx.run("DELETE FROM reviews WHERE id = ?", id), "/admin/products")


# JSON


@route("GET", "/api/products")
def api_products(app, request):
    with app.database.read() as tx:
        currency = shop.settings(tx, app.config)["currency"]
        items = shop.products(tx)
    return Response.json(200, {"products": [
        {"id": item.id, "name": item.name, "summary": item.summary, "price_cents": item.price,
         "currency": currency, "stock": item.stock,
         "url": f"{app.config.public_url}/products/{item.id}"} for item in items]})


@route("POST", "/api/orders")
def api_order(app, request):
    body = request.json()
    items = body.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= shop.LINES_MAX:
        raise shop.Refused(f"`items` must be a list of 1 to {shop.LINES_MAX} products.")
    cart = {}
    for item in items:
        id = item.get("product") if isinstance(item, dict) else None
        if not isinstance(id, str) or not re.fullmatch("[a-z0-9-]{1,64}", id) or id in cart:
            raise shop.Refused("Each of `items` needs a `product` of its own and a `quantity`.")
        cart[id] = shop.number(item, "quantity", "`quantity`", 1, shop.QUANTITY_MAX)
    with app.database.read() as tx:
        missing = set(cart) - {item.id for item, _ in shop.cart_lines(tx, cart)}
    if missing:
        raise shop.Refused(f"There is no product `{min(missing)}`.")
    id = shop.token()
    place(app, body, cart, id)
    with app.database.read() as tx:
        order = shop.order(tx, id)
    return Response.json(201, {
        "number": order.number, "status": order.status, "currency": order.currency,
        "discount_cents": order.discount, "total_cents": order.total,
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(order.created_at)),
        "url": f"{app.config.public_url}/orders/{order.id}"})
