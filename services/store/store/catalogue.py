"""The shop window."""

from flask import Blueprint, abort, redirect, render_template, url_for

from store import shop
from store.forms import CartForm, ReviewForm
from store.models import Review, db

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/")
def home():
    return render_template("home.html", products=shop.products())


@blueprint.get("/products/<key:id>")
def product(id):
    item = shop.product(id) or abort(404)
    return render_template("product.html", item=item, reviews=shop.reviews(id), form=ReviewForm(),
                           cart_form=CartForm(), most=min(item.stock, shop.QUANTITY_MAX))


@blueprint.post("/products/<key:id>/reviews")
def review(id):
    shop.product(id) or abort(404)
    form = ReviewForm()
    form.checked()
    db.session.add(Review(product_id=id, author=form.author.data, stars=form.stars.data,
                          text=form.text.data))
    db.session.commit()
    return redirect(url_for(".product", id=id, _anchor="reviews"), 303)
