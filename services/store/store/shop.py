"""The rules of the shop. Money is an integer number of cents, time is seconds UTC."""

import re
import secrets
import time

LINES_MAX, QUANTITY_MAX, CENTS_MAX = 40, 99, 100_000_000
STATUSES = ("new", "sent", "cancelled")
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


class Refused(Exception):
    """What was asked cannot be done; the message is for the person who asked."""


class SoldOut(Refused):
    """There is not enough in stock."""


def money(cents, currency):
    amount = f"{cents // 100:,}.{cents % 100:02}"
    return f"{SYMBOLS[currency]}{amount}" if currency in SYMBOLS else f"{amount} {currency}"


def token():
    return secrets.token_hex(16)


# What people write in


def text(form, name, label, limit, required=True):
    """A field's text, trimmed; control characters other than line ends are dropped."""
    value = form.get(name, "")
    if not isinstance(value, str):
        raise Refused(f"{label} must be text.")
    value = "".join(c for c in value if c.isprintable() or c == "\n").strip()
    if required and not value:
        raise Refused(f"{label} is missing.")
    if len(value) > limit:
        raise Refused(f"{label} is too long: {limit} characters at most.")
    return value


def number(form, name, label, least, most):
    value = str(form.get(name, "")).strip()
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise Refused(f"{label} must be a whole number from {least} to {most}.")
    return int(value)


def cents(form, name, label):
    match = re.fullmatch(r"([0-9]{1,6})(?:\.([0-9]{2}))?", form.get(name, "").strip())
    if not match:
        raise Refused(f"{label} must be an amount like 12.50.")
    return int(match[1]) * 100 + int(match[2] or 0)


def settings(tx, config):
    """The shop's name and so on: as the environment says, else as they were when seeded."""
    kept = {row.name: row.value for row in tx.all("SELECT name, value FROM settings")}
    return {"shop_name": "Store", "currency": "USD", "contact_email": ""} | kept | config.setup


def next_value(tx, counter):
    sql = "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value"
    return tx.one(sql, counter).value


# Products


def products(tx, hidden=False):
    condition = "" if hidden else "WHERE shown = 1"
    return tx.all(f"SELECT * FROM products {condition} ORDER BY position")


def product(tx, id, hidden=False):
    found = tx.one("SELECT * FROM products WHERE id = ?", id)
    return found if found and (found.shown or hidden) else None


def product_fields(form):
    return {
        "name": text(form, "name", "The name", 80),
        "summary": text(form, "summary", "The summary", 160),
        "description": text(form, "description", "The description", 4000, required=False),
        "price": cents(form, "price", "The price"),
        "picture": text(form, "picture", "The picture", 20),
        "hue": number(form, "hue", "The colour", 0, 359),
        "shown": 1 if form.get("shown") else 0,
    }


def add_product(tx, fields, stock):
    position = next_value(tx, "product")
    stem = re.sub(r"[^a-z0-9]+", "-", fields["name"].lower()).strip("-")[:40] or "product"
    taken = stem == "new" or product(tx, stem, hidden=True)  # `new` is the page that adds one
    id = f"{stem}-{position}" if taken else stem
    row = {"id": id, **fields, "stock": stock, "position": position}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    tx.run(f"INSERT INTO products ({names}) VALUES ({marks})", *row.values())
    return id


def change_product(tx, id, fields):
    sets = ", ".join(f"{name} = ?" for name in fields)
    return tx.run(f"UPDATE products SET {sets} WHERE id = ?", *fields.values(), id)


def change_stock(tx, id, form):
    """Adds to the stock, or takes from it, so that no sale made meanwhile is forgotten."""
    value = form.get("change", "").strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", value):
        raise Refused("Write how many came in, or left: 5 or -5.")
    sql = "UPDATE products SET stock = stock + ? WHERE id = ? AND stock + ? >= 0"
    if not tx.run(sql, int(value), id, int(value)):
        raise Refused("There is less than that in stock.")


# Cart and orders


def cart_lines(tx, cart):
    """The cart's products and quantities; what is no longer on sale is left out."""
    found = [(product(tx, id), quantity) for id, quantity in cart.items()]
    return [(item, quantity) for item, quantity in found if item]


def place_order(tx, form, cart, id, currency, coupons):
    """Takes the goods from stock and writes the order; all of it, or nothing.

    Stock and coupons are taken by an UPDATE that holds its own condition, so two customers
    can never take the same last item, whatever the engine's isolation. Products are taken in
    the order of their ids, so two orders cannot wait for each other.
    """
    customer = (
        text(form, "name", "Your name", 100),
        email(form),
        text(form, "address", "The address", 500),
    )
    lines = sorted(cart_lines(tx, cart), key=lambda line: line[0].id)
    if not lines:
        raise Refused("Your cart is empty.")
    for item, quantity in lines:
        sql = "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?"
        if not tx.run(sql, quantity, item.id, quantity):
            left = product(tx, item.id, hidden=True).stock
            raise SoldOut(f"Only {left} of “{item.name}” left." if left
                          else f"“{item.name}” is sold out.")
    subtotal = sum(item.price * quantity for item, quantity in lines)
    if subtotal > CENTS_MAX:
        raise Refused("This order is too large for the shop; please write to us.")
    code = text(form, "coupon", "The coupon", 30, required=False).upper() if coupons else ""
    discount = subtotal * use_coupon(tx, code) // 100 if code else 0
    tx.run(
        "INSERT INTO orders (id, number, status, name, email, address, currency, subtotal,"
        " coupon, discount, total, created_at) VALUES (?, ?, 'new', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id, next_value(tx, "order"), *customer, currency, subtotal, code, discount,
        subtotal - discount, int(time.time()),
    )
    for item, quantity in lines:
        tx.run("INSERT INTO order_lines (order_id, product_id, name, price, quantity)"
               " VALUES (?, ?, ?, ?, ?)", id, item.id, item.name, item.price, quantity)


def email(form):
    value = text(form, "email", "Your e-mail address", 200)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise Refused("Your e-mail address must look like name@example.org.")
    return value


def order(tx, id):
    """The order with its lines, or None."""
    found = tx.one("SELECT * FROM orders WHERE id = ?", id)
    if found:
        sql = "SELECT l.*, p.picture, p.hue FROM order_lines l JOIN products p"
        found.lines = tx.all(f"{sql} ON p.id = l.product_id WHERE order_id = ? ORDER BY l.name", id)
    return found


def orders(tx, before, limit):
    sql = "SELECT * FROM orders WHERE number < ? ORDER BY number DESC LIMIT ?"
    return tx.all(sql, before, limit)


def order_by_number(tx, number):
    found = tx.one("SELECT id FROM orders WHERE number = ?", number)
    return found and order(tx, found.id)


def set_status(tx, number, status):
    """Sends or cancels a new order; what a cancelled one held goes back into stock."""
    if status not in ("sent", "cancelled"):
        raise Refused("An order can be sent or cancelled.")
    sql = "UPDATE orders SET status = ? WHERE number = ? AND status = 'new'"
    if not tx.run(sql, status, number):
        raise Refused("This order was sent or cancelled before.")
    if status == "cancelled":
        for line in sorted(order_by_number(tx, number).lines, key=lambda line: line.product_id):
            sql = "UPDATE products SET stock = stock + ? WHERE id = ?"
            tx.run(sql, line.quantity, line.product_id)


# Coupons


def coupons(tx):
    return tx.all("SELECT * FROM coupons ORDER BY code")


def add_coupon(tx, form):
    code = text(form, "code", "The code", 30).upper()
    if not re.fullmatch(r"[A-Z0-9-]+", code):
        raise Refused("The code may have letters, digits and hyphens.")
    percent = number(form, "percent", "The discount", 1, 100)
    uses = number(form, "uses_max", "The number of uses", 1, 1_000_000)
    sql = ("INSERT INTO coupons (code, percent, uses, uses_max, active)"
           " VALUES (?, ?, 0, ?, 1) ON CONFLICT (code) DO NOTHING")
    if not tx.run(sql, code, percent, uses):
        raise Refused(f"There is a coupon {code} already.")


def use_coupon(tx, code):
    sql = "UPDATE coupons SET uses = uses + 1 WHERE code = ? AND active = 1 AND uses < uses_max"
    if not tx.run(sql, code):
        raise Refused(f"The coupon “{code}” is not valid, or used up.")
    return tx.one("SELECT percent FROM coupons WHERE code = ?", code).percent


# Reviews


def reviews(tx, id):
    sql = "SELECT * FROM reviews WHERE product_id = ? ORDER BY created_at DESC, id LIMIT 100"
    return tx.all(sql, id)


def add_review(tx, id, form):
    tx.run(
        "INSERT INTO reviews (id, product_id, author, stars, text, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        token(), id, text(form, "author", "Your name", 60), number(form, "stars", "Stars", 1, 5),
        text(form, "text", "The review", 2000), int(time.time()),
    )


# The shopkeeper's overview


def overview(tx):
    sums = {row.status: row for row in tx.all(
        "SELECT status, COUNT(*) AS orders, CAST(SUM(total) AS BIGINT) AS revenue"
        " FROM orders GROUP BY status")}
    counted = [row for status, row in sums.items() if status != "cancelled"]
    return {
        "waiting": sums["new"].orders if "new" in sums else 0,
        "orders": sum(row.orders for row in counted),
        "revenue": sum(row.revenue for row in counted),
        "low": tx.one("SELECT COUNT(*) AS n FROM products WHERE shown = 1 AND stock < 5").n,
    }
