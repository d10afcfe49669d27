"""The shopkeeper's side. Who may come here is for whatever stands in front of the shop."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy.exc import IntegrityError

from store import report, shop
from store.forms import HUES, CouponForm, ProductForm, StatusForm, StockForm
from store.models import Coupon, Product, Review, db

ORDERS_PER_PAGE = 50

blueprint = Blueprint("admin", __name__, url_prefix="/admin")


def saved(endpoint, **values):
    db.session.commit()
    return redirect(url_for(endpoint, **values), 303)


@blueprint.get("")
def overview():
    return render_template("admin/overview.html", numbers=shop.overview(), orders=shop.orders(5),
                           reports=report.latest())


@blueprint.get("/orders")
def orders():
    before = request.args.get("before", type=int)
    before = before if before and 0 < before < 10**9 else None
    found = shop.orders(ORDERS_PER_PAGE, before)
    more = len(found) == ORDERS_PER_PAGE
    return render_template("admin/orders.html", orders=found, more=more)


@blueprint.get("/orders/<int(max=999999999):number>")
def order(number):
    found = shop.order_by_number(number) or abort(404)
    return render_template("admin/order.html", order=found, form=StatusForm())


@blueprint.post("/orders/<int(max=999999999):number>")
def change_order(number):
    shop.set_status(shop.order_by_number(number) or abort(404), StatusForm().checked()["status"])
    return saved(".order", number=number)


@blueprint.get("/products")
def products():
    return render_template("admin/products.html", products=shop.products(hidden=True),
                           form=StockForm())


@blueprint.get("/products/new")
def new_product():
    return edit(None, ProductForm(hue=205))


@blueprint.post("/products")
def add_product():
    form = ProductForm()
    if not form.validate():
        return edit(None, form, 422)
    shop.add_product(**fields(form), stock=form.stock.data)
    return saved(".products")


@blueprint.get("/products/<key:id>")
def product(id):
    item = shop.product(id, hidden=True) or abort(404)
    return edit(item, ProductForm(obj=item))


@blueprint.post("/products/<key:id>")
def change_product(id):
    item = shop.product(id, hidden=True) or abort(404)
    form = ProductForm()
    del form.stock
    if item.hue not in HUES:
        form.hue.choices = [*form.hue.choices, (item.hue, "As it is")]
    if not form.validate():
        return edit(item, form, 422)
    for name, value in fields(form).items():
        setattr(item, name, value)
    return saved(".products")


def edit(item, form, status=200):
    if item and item.hue not in HUES:
        form.hue.choices = [*HUES.items(), (item.hue, "As it is")]
    reviews = shop.reviews(item.id) if item else []
    return render_template("admin/product.html", item=item, form=form, reviews=reviews), status


def fields(form):
    return {name: form[name].data for name in
            ("name", "summary", "description", "price", "picture", "hue", "shown")}


@blueprint.post("/products/<key:id>/stock")
def change_stock(id):
    shop.product(id, hidden=True) or abort(404)
    shop.change_stock(id, int(StockForm().checked()["change"]))
    return saved(".products")


@blueprint.get("/coupons")
def coupons():
    return list_coupons(CouponForm())


def list_coupons(form, status=200):
    return render_template("admin/coupons.html", coupons=shop.coupons(), form=form), status


@blueprint.post("/coupons")
def add_coupon():
    form = CouponForm()
    if not form.validate():
        return list_coupons(form, 422)
    code = form.code.data.upper()
    db.session.add(Coupon(code=code, percent=form.percent.data, uses_max=form.uses_max.data))
    try:
        return saved(".coupons")
    except IntegrityError:
        db.session.rollback()
        form.code.errors = [f"There is a coupon {code} already."]
        return list_coupons(form, 422)


@blueprint.post("/coupons/<key:code>")
def switch_coupon(code):
    coupon = db.session.get(Coupon, code) or abort(404)
    coupon.active = not coupon.active
    return saved(".coupons")


@blueprint.post("/reviews/<key:id>/delete")
def delete_review(id):
    db.session.delete(db.session.get(Review, id) or abort(404))
    return saved(".products")
