"""The forms: what people write in, and what it may be."""

import re

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField, EmailField, HiddenField, IntegerField, SelectField, StringField, TextAreaField,
)
from wtforms.validators import DataRequired, Length, NumberRange, Regexp

from store.pictures import MOTIFS
from store.shop import QUANTITY_MAX, Refused

HUES = {12: "Terracotta", 38: "Amber", 55: "Straw", 140: "Fern", 172: "Lagoon", 205: "Harbour",
        240: "Night", 280: "Violet", 348: "Rose"}


def clean(value):
    """Trimmed; control characters other than line ends are dropped."""
    return "".join(c for c in value or "" if c.isprintable() or c == "\n").strip()


def text(label, most, field=StringField, required=True, more=(), **options):
    length = Length(max=most, message=f"{label} is too long: {most} characters at most.")
    rules = [DataRequired(f"{label} is missing.")] if required else []
    return field(label, [*rules, length, *more], filters=[clean], **options)


def whole(label, least, most, **options):
    message = f"{label} must be a whole number from {least} to {most}."
    return WholeField(label, [NumberRange(least, most, message)], **options)


class WholeField(IntegerField):
    """What is no number is told by the validator, which knows the bounds."""

    def process_formdata(self, valuelist):
        text = valuelist[0].strip() if valuelist else ""
        self.data = int(text) if re.fullmatch("[0-9]{1,9}", text) else None


class CentsField(StringField):
    """An amount like 12.50, kept as cents."""

    def _value(self):
        if self.raw_data or self.data is None:
            return self.raw_data[0] if self.raw_data else ""
        return f"{self.data // 100}.{self.data % 100:02}"

    def process_formdata(self, valuelist):
        match = re.fullmatch(r"([0-9]{1,6})(?:\.([0-9]{2}))?", valuelist[0].strip() if valuelist else "")
        if not match:
            raise ValueError(f"{self.label.text} must be an amount like 12.50.")
        self.data = int(match[1]) * 100 + int(match[2] or 0)


class Form(FlaskForm):
    def checked(self):
        """What was filled in; the first fault is told."""
        if not self.validate():
            raise Refused(next(iter(self.errors.values()))[0])
        return self.data


class CartForm(Form):
    product = HiddenField(validators=[
        Regexp(r"[a-z0-9-]{1,64}\Z", message="There is no such product.")])
    quantity = whole("The quantity", 1, QUANTITY_MAX, default=1)


class CartChangeForm(Form):
    product = HiddenField()
    quantity = whole("The quantity", 0, QUANTITY_MAX)


class CheckoutForm(Form):
    # The form carries the order's id: sent twice, it still is one order.
    order = HiddenField(validators=[
        Regexp(r"[0-9a-f]{32}\Z", message="Please open the checkout page again.")])
    name = text("Your name", 100)
    email = text("Your e-mail address", 200, EmailField, more=[Regexp(
        r"[^@\s]+@[^@\s]+$", message="Your e-mail address must look like name@example.org.")])
    address = text("The address", 500, TextAreaField)
    coupon = text("The coupon", 30, required=False)


class ReviewForm(Form):
    author = text("Your name", 60)
    stars = SelectField("Stars", coerce=int, default=5,
                        choices=[(n, "★" * n) for n in range(5, 0, -1)])
    text = text("What did you like?", 2000, TextAreaField)


class StatusForm(Form):
    status = SelectField(choices=["sent", "cancelled"])


class StockForm(Form):
    change = StringField(validators=[Regexp(
        r"[+-]?[0-9]{1,6}$", message="Write how many came in, or left: 5 or -5.")], filters=[clean])


class ProductForm(Form):
    name = text("The name", 80)
    summary = text("The summary", 160)
    description = text("The description", 4000, TextAreaField, required=False)
    price = CentsField("The price")
    stock = whole("The stock", 0, 1_000_000, default=0)
    picture = SelectField("Picture", choices=[(name, name.title()) for name in MOTIFS])
    hue = SelectField("Colour", coerce=int, choices=list(HUES.items()))
    shown = BooleanField("On sale", default=True)


class CouponForm(Form):
    code = text("The code", 30, more=[Regexp(
        "[A-Za-z0-9-]+$", message="The code may have letters, digits and hyphens.")])
    percent = whole("The discount", 1, 100, default=10)
    uses_max = whole("The number of uses", 1, 1_000_000, default=100)
