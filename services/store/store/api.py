"""The shop for programs."""

import re
import time

from flask import Blueprint, abort, request, url_for
from werkzeug.datastructures import MultiDict

from store import shop
from store.forms import CheckoutForm
from store.models import Order, db, token

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.get("/products")
def products():
    currency = shop.settings()["currency"]
    return {"products": [
        {"id": item.id, "name": item.name, "summary": item.summary, "price_cents": item.price,
         "currency": currency, "stock": item.stock,
         "url": url_for("catalogue.product", id=item.id, _external=True)}
        for item in shop.products()]}


@blueprint.post("/orders")
def order():
    body, id = document(), token()
    cart = items(body.get("items"))
    shop.place(customer(body, id), cart, id)
    return shown(db.session.get(Order, id)), 201


def document():
    try:
        body = request.get_json()
    except RecursionError:
        abort(400, "The body is too deep.")
    return body if isinstance(body, dict) else abort(400, "The body must be a JSON object.")


def customer(body, id):
    """The same fields as on the checkout page, by the same rules."""
    known = {name: body.get(name, "") for name in ("name", "email", "address", "coupon")}
    for name, value in known.items():
        if not isinstance(value, str):
            raise shop.Refused(f"`{name}` must be text.")
    return CheckoutForm(MultiDict({"order": id, **known}), meta={"csrf": False}).checked()


def items(items):
    if not isinstance(items, list) or not 0 < len(items) <= shop.LINES_MAX:
        raise shop.Refused(f"`items` must be a list of 1 to {shop.LINES_MAX} products.")
    cart = {}
    for item in items:
        id, quantity = (item.get("product"), item.get("quantity")) if isinstance(item, dict) else (0, 0)
        if not isinstance(id, str) or not re.fullmatch("[a-z0-9-]{1,64}", id) or id in cart:
            raise shop.Refused("Each of `items` needs a `product` of its own and a `quantity`.")
        if type(quantity) is not int or not 1 <= quantity <= shop.QUANTITY_MAX:
            raise shop.Refused(f"`quantity` must be a whole number from 1 to {shop.QUANTITY_MAX}.")
        if not shop.product(id):
            raise shop.Refused(f"There is no product `{id}`.")
        cart[id] = quantity
    return cart


def shown(order):
    return {
        "number": order.number, "status": order.status, "currency": order.currency,
        "discount_cents": order.discount, "total_cents": order.total,
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(order.created_at)),
        "url": url_for("checkout.order", id=order.id, _external=True)}
