"""The rules of the shop."""

import re

from flask import current_app, g
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from store.models import Counter, Coupon, Order, OrderLine, Product, Review, Setting, db

LINES_MAX, QUANTITY_MAX, CENTS_MAX = 40, 99, 100_000_000
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
DEFAULTS = {"shop_name": "Store", "currency": "USD", "contact_email": ""}


class Refused(Exception):
    """What was asked cannot be done; the message is for the person who asked."""

    status = 422


class SoldOut(Refused):
    """There is not enough in stock."""

    status = 409


def money(cents, currency):
    amount = f"{cents // 100:,}.{cents % 100:02}"
    return f"{SYMBOLS[currency]}{amount}" if currency in SYMBOLS else f"{amount} {currency}"


def settings():
    """The shop's name and so on: as the environment says, else as they were when seeded."""
    if "settings" not in g:
        rows = db.session.scalars(select(Setting).where(Setting.name.in_(DEFAULTS)))
        kept = {row.name: row.value for row in rows}
        g.settings = DEFAULTS | kept | current_app.config["SETUP"]
    return g.settings


def has(module):
    return module in current_app.config["MODULES"]


def next_value(counter):
    statement = update(Counter).where(Counter.name == counter).values(value=Counter.value + 1)
    return db.session.scalar(statement.returning(Counter.value))


# Products


def products(hidden=False):
    query = select(Product).order_by(Product.position)
    return db.session.scalars(query if hidden else query.where(Product.shown)).all()


def product(id, hidden=False):
    found = db.session.get(Product, id)
    return found if found and (found.shown or hidden) else None


def add_product(**fields):
    position = next_value("product")
    stem = re.sub(r"[^a-z0-9]+", "-", fields["name"].lower()).strip("-")[:40] or "product"
    taken = stem == "new" or product(stem, hidden=True)  # `new` is the page that adds one
    id = f"{stem}-{position}" if taken else stem
    db.session.add(Product(id=id, position=position, **fields))
    return id


def change_stock(id, by):
    """Adds to the stock, or takes from it, so that no sale made meanwhile is forgotten."""
    changed = db.session.execute(
        update(Product).where(Product.id == id, Product.stock + by >= 0)
        .values(stock=Product.stock + by))
    if not changed.rowcount:
        raise Refused("There is less than that in stock.")


# Cart and orders


def cart_lines(cart):
    """The cart's products and quantities; what is no longer on sale is left out."""
    found = [(product(id), quantity) for id, quantity in cart.items()]
    return [(item, quantity) for item, quantity in found if item]


def place(customer, cart, id):
    """Places the order, and says so; False if it was placed before."""
    try:
        if db.session.get(Order, id):
            return False
        place_order(customer, cart, id)
        db.session.commit()
        return True
    except IntegrityError:
        db.session.rollback()
        return False  # the same form, sent twice at once: the other one was faster


def place_order(customer, cart, id):
    """Takes the goods from stock and writes the order; all of it, or nothing.

    Stock and coupons are taken by an UPDATE that holds its own condition, so two customers
    can never take the same last item, whatever the engine's isolation. Products are taken in
    the order of their ids, so two orders cannot wait for each other.
    """
    lines = [(item.id, item.name, item.price, quantity) for item, quantity in
             sorted(cart_lines(cart), key=lambda line: line[0].id)]
    if not lines:
        raise Refused("Your cart is empty.")
    subtotal = sum(price * quantity for _, _, price, quantity in lines)
    if subtotal > CENTS_MAX:
        raise Refused("This order is too large for the shop; please write to us.")
    currency = settings()["currency"]
    for product_id, name, _, quantity in lines:
        take(product_id, name, quantity)
    code = customer["coupon"].upper() if has("coupons") else ""
    discount = subtotal * use_coupon(code) // 100 if code else 0
    order = Order(
        id=id, number=next_value("order"), name=customer["name"], email=customer["email"],
        address=customer["address"], currency=currency, subtotal=subtotal, coupon=code,
        discount=discount, total=subtotal - discount)
    order.lines = [OrderLine(product_id=product_id, name=name, price=price, quantity=quantity)
                   for product_id, name, price, quantity in lines]
    db.session.add(order)


def take(id, name, quantity):
    taken = db.session.execute(
        update(Product).where(Product.id == id, Product.stock >= quantity)
        .values(stock=Product.stock - quantity))
    if not taken.rowcount:
        left = db.session.scalar(select(Product.stock).where(Product.id == id))
        raise SoldOut(f"Only {left} of “{name}” left." if left else f"“{name}” is sold out.")


def order_by_number(number):
    return db.session.scalar(select(Order).where(Order.number == number))


def orders(limit, before=None):
    query = select(Order).order_by(Order.number.desc()).limit(limit)
    return db.session.scalars(query.where(Order.number < before) if before else query).all()


def set_status(order, status):
    """Sends or cancels a new order; what a cancelled one held goes back into stock."""
    lines = [(line.product_id, line.quantity) for line in order.lines]
    changed = db.session.execute(
        update(Order).where(Order.id == order.id, Order.status == "new").values(status=status))
    if not changed.rowcount:
        raise Refused("This order was sent or cancelled before.")
    if status == "cancelled":
        for id, quantity in lines:
            change_stock(id, quantity)


# Coupons and reviews


def coupons():
    return db.session.scalars(select(Coupon).order_by(Coupon.code)).all()


def use_coupon(code):
    percent = db.session.scalar(
        update(Coupon).where(Coupon.code == code, Coupon.active, Coupon.uses < Coupon.uses_max)
        .values(uses=Coupon.uses + 1).returning(Coupon.percent))
    if percent is None:
        raise Refused(f"The coupon “{code}” is not valid, or used up.")
    return percent


def reviews(product_id):
    if not has("reviews"):
        return []
    newest = select(Review).order_by(Review.created_at.desc(), Review.id).limit(100)
    return db.session.scalars(newest.where(Review.product_id == product_id)).all()


# The shopkeeper's overview


def overview():
    rows = db.session.execute(
        select(Order.status, func.count(), func.sum(Order.total)).group_by(Order.status))
    sums = {status: (count, int(revenue)) for status, count, revenue in rows}
    counted = [sums[status] for status in sums if status != "cancelled"]
    low = select(func.count()).where(Product.shown, Product.stock < 5)
    return {
        "waiting": sums.get("new", (0, 0))[0],
        "orders": sum(count for count, _ in counted),
        "revenue": sum(revenue for _, revenue in counted),
        "low": db.session.scalar(low),
    }
