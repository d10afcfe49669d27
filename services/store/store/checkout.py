"""Cart, checkout and the customer's view of an order."""

from flask import Blueprint, abort, redirect, render_template, request, session, url_for

from store import shop
from store.forms import CartChangeForm, CartForm, CheckoutForm
from store.models import Order, db, token

blueprint = Blueprint("checkout", __name__)


def cart():
    return dict(session.get("cart", {}))


def keep(cart):
    session["cart"], session.permanent = cart, True
    return redirect(url_for("checkout.show_cart"), 303)


@blueprint.get("/cart")
def show_cart():
    return render_template("cart.html", lines=shop.cart_lines(cart()))


@blueprint.post("/cart")
def add():
    form, kept = CartForm(), cart()
    id, quantity = form.checked()["product"], form.quantity.data
    shop.product(id) or abort(404, "There is no such product.")
    if id not in kept and len(kept) >= shop.LINES_MAX:
        raise shop.Refused("Your cart is full.")
    return keep(kept | {id: min(kept.get(id, 0) + quantity, shop.QUANTITY_MAX)})


@blueprint.post("/cart/change")
def change():
    form, kept = CartChangeForm(), cart()
    if form.product.data in kept:
        kept[form.product.data] = 0 if "remove" in request.form else form.checked()["quantity"]
    return keep({id: quantity for id, quantity in kept.items() if quantity})


@blueprint.get("/checkout")
def checkout():
    return page(CheckoutForm(order=token()))


def page(form, message=None, status=200):
    lines = shop.cart_lines(cart())
    name = "checkout.html" if lines else "cart.html"
    return render_template(name, lines=lines, form=form, message=message), status


@blueprint.post("/checkout")
def send():
    form = CheckoutForm()
    if not form.validate():
        return page(form, status=400 if form.order.errors else 422)
    id = form.order.data
    try:
        fresh = shop.place(form.data, cart(), id)
    except shop.Refused as refusal:
        db.session.rollback()
        return page(form, str(refusal), refusal.status)
    # A redirect says that an order was placed; a form sent again just shows the order.
    if not fresh:
        return order(id)
    session.pop("cart", None)
    return redirect(url_for(".order", id=id), 303)


@blueprint.get("/orders/<key:id>")
def order(id):
    return render_template("order.html", order=db.session.get(Order, id) or abort(404))
