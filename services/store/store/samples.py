"""What a new shop starts with."""

import click
from flask import current_app
from sqlalchemy.exc import IntegrityError

from store import shop
from store.models import Coupon, Setting, db

COLUMNS = ("name", "summary", "description", "price", "stock", "picture", "hue")
SAMPLES = {
    "home": [
        ("Harbour mug", "Stoneware with a salt-blue glaze", "Thrown by hand, so no two are quite alike. Holds 350 ml, keeps warm, and goes into the dishwasher without complaint.", 1850, 24, "mug", 205),
        ("Evening lamp", "A soft light for the corner you read in", "Linen shade on a turned oak foot. Warm LED included, with a dimmer on the cord.", 8900, 7, "lamp", 38),
        ("Window fern", "A patient plant in a clay pot", "Likes a bright window out of the sun and water once a week. The pot is part of it.", 2400, 15, "plant", 140),
        ("Tall vase", "For three stems or thirty", "Mouth-blown glass in a quiet violet, 28 cm tall, with a base heavy enough for branches.", 4200, 9, "vase", 280),
        ("Cedar candle", "Forty hours of a forest after rain", "Rapeseed wax, cotton wick, cedar and a little smoke. The glass makes a fine tumbler afterwards.", 2100, 40, "candle", 18),
        ("Wool cushion", "Woven slowly, washes easily", "Lambswool cover with a hidden zip and a filling of recycled down. 45 by 45 cm.", 5600, 12, "cushion", 348),
        ("Quiet clock", "Shows the time, does not tick", "A sweeping movement behind domed glass. One battery lasts about two years.", 6450, 3, "clock", 172),
        ("Supper bowl", "Deep enough for soup, wide enough for pasta", "Glazed inside, raw outside. Stacks well and survives the oven.", 2250, 0, "bowl", 55),
    ],
    "coffee": [
        ("Morning blend", "Chocolate, hazelnut, no hurry", "Beans from two small growers, roasted medium. 250 g, whole; tell us if we should grind it.", 1150, 60, "bag", 24),
        ("Yellow espresso", "Caramel with a bright edge", "For the machine or the stove. Roasted a shade darker, rested for ten days. 250 g.", 1290, 45, "bag", 46),
        ("Blue decaf", "All of the evening, none of the night", "Decaffeinated with water alone. Plum, cocoa and a clean finish. 250 g.", 1350, 30, "bag", 212),
        ("Pour-over kettle", "A spout that goes where you look", "Brushed steel, 0.9 litres, for every hob including induction.", 7400, 6, "kettle", 190),
        ("Glass dripper", "Three minutes of calm", "Heatproof glass with spiral ribs for an even flow. Takes standard size 02 papers.", 2850, 14, "dripper", 160),
        ("Counter tin", "Keeps a bag of beans at its best", "Airtight lid with a valve, holds 500 g. Printed by hand.", 1900, 22, "tin", 350),
        ("Roaster's mug", "Thick walls, wide mouth", "The mug we use ourselves. 300 ml, stackable, made for daily knocks.", 1600, 33, "mug", 14),
        ("Cupping bowl", "For tasting like a professional", "Tempered porcelain of 200 ml with a rolled rim.", 950, 3, "bowl", 265),
    ],
    "none": [],
}


def seed():
    """Writes the settings and, once, the sample products; a second run changes nothing."""
    setup = current_app.config["SETUP"]
    sample = setup.get("sample", "home")
    if sample not in SAMPLES:
        raise click.ClickException(f"SETUP_SAMPLE is `{sample}`: choose one of {', '.join(SAMPLES)}")
    try:
        # The row is the lock: of two seeds at once the second waits here, then finds it written.
        db.session.add(Setting(name="sample", value=sample))
        db.session.flush()
    except IntegrityError:
        return "seeded before: nothing to do"
    db.session.add_all(Setting(name=name, value=value) for name, value in setup.items()
                       if name != "sample")
    for row in SAMPLES[sample]:
        shop.add_product(**dict(zip(COLUMNS, row)), shown=True)
    if SAMPLES[sample]:
        db.session.add(Coupon(code="WELCOME10", percent=10, uses_max=1000))
    db.session.commit()
    return f"seeded with {len(SAMPLES[sample])} products"
