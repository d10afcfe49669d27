"""Who runs a shop on Oscar, and who buys there: `sell` puts something into the catalogue, with a picture,
`buy` puts it into a basket, `list` says what is in the catalogue."""

import sys

from browsing import PICTURE, Browser

url, host, user, password, verb, *what = sys.argv[1:]
browser = Browser(url, host)
if verb == "sell":
    title, price = what
    login = {"username": f"{user}@example.com", "password": password}
    if "login" in browser.sends("dashboard/login/", login):
        sys.exit(print("refused"))
    browser.sends("dashboard/partners/create/", {"name": "Bakery"})
    kind = {"name": "Bread", "attributes-TOTAL_FORMS": "0"}
    browser.sends("dashboard/catalogue/product-type/create/", kind)
    browser.sends("dashboard/catalogue/categories/create/", {"name": "Bread"})
    page = "dashboard/catalogue/products/create/bread/"
    choices = browser.sees(page).select
    stock = "stockrecords-0-"
    first = {name: choices(f'[name="{name}"] option')[-1]["value"]
             for name in ("productcategory_set-0-category", stock + "partner")}
    browser.sends(page, {
        "title": title, **first, "images-0-original": PICTURE, stock + "partner_sku": title,
        stock + "num_in_stock": "5", stock + "price": price,
    })
if verb == "buy":
    browser.sees("catalogue/")
    browser.select_form('form[action*="/basket/add/"]')
    browser.submit_selected()
    print(*(line.text.strip() for line in browser.sees("basket/").select(".basket-items h3")))
else:
    print(*(title["title"] for title in browser.sees("catalogue/").select("h3 a")), sep="\n")
