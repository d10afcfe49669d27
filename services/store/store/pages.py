"""The pages."""

import time

from store import shop
from store.html import Html, html
from store.pictures import MOTIFS, picture


def layout(view, title, body, admin=False):
    links = [("/admin", "Overview"), ("/admin/orders", "Orders"), ("/admin/products", "Products")]
    if "coupons" in view.modules:
        links.append(("/admin/coupons", "Coupons"))
    menu = [html('<a href="{url}">{text}</a>', url=url, text=text) for url, text in links]
    cart = html('<a class="cart" href="/cart">Cart{count}</a>', count=html(
        ' <b>{n}</b>', n=view.in_cart) if view.in_cart else "")
    mail = html(' · <a href="mailto:{to}">{to}</a>', to=view.email) if view.email else ""
    return html("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/assets/icon.svg">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body class="{kind}">
<header><div class="wide"><a class="brand" href="/">{shop}</a><nav>{links}</nav></div></header>
<main class="wide">{body}</main>
<footer><div class="wide"><span>© {shop}{mail}</span><a href="{other}">{other_text}</a></div></footer>
</body>
</html>
""", title=title if title == view.name else f"{title} · {view.name}", shop=view.name, body=body,
                kind="admin" if admin else "shop", mail=mail,
                links=menu if admin else [html('<a href="/">Shop</a>'), cart],
                other="/" if admin else "/admin",
                other_text="To the shop" if admin else "Shop administration")


def problem(view, status, message):
    return layout(view, message, html(
        '<section class="empty"><p class="code">{status}</p><h1>{message}</h1>'
        '<p><a class="button" href="/">To the shop</a></p></section>',
        status=status, message=message))


def alert(message):
    return html('<p class="alert" role="alert">{message}</p>', message=message) if message else ""


def when(seconds):
    return time.strftime("%d %b %Y, %H:%M UTC", time.gmtime(seconds))


def options(values, chosen):
    return [html('<option value="{value}"{chosen}>{text}</option>', value=value, text=text,
                 chosen=Html(" selected") if value == chosen else "") for value, text in values]


# The shop


def availability(item):
    if item.stock == 0:
        return html('<span class="badge gone">Sold out</span>')
    if item.stock < 5:
        return html('<span class="badge few">Only {n} left</span>', n=item.stock)
    return html('<span class="badge">In stock</span>')


def home(view, items):
    cards = [html("""
<a class="card" href="/products/{item.id}">{picture}
<span class="about"><strong>{item.name}</strong><span class="muted">{item.summary}</span>
<span class="row"><b>{price}</b>{badge}</span></span></a>""",
                  item=item, picture=picture(item.picture, item.hue),
                  price=shop.money(item.price, view.currency),
                  badge=availability(item) if item.stock < 5 else "") for item in items]
    hero = [picture(item.picture, item.hue) for item in items[::2][:4]]
    return layout(view, view.name, html("""
<section class="hero"><div><h1>{name}</h1>
<p>Chosen with care, packed by hand, at your door in a few days.</p>
<p><a class="button" href="#products">See what is new</a></p></div><div class="collage">{hero}</div></section>
<h2 id="products">Our products</h2>
{products}""", name=view.name, hero=hero, products=html('<div class="grid">{cards}</div>', cards=cards)
                                          if cards else html('<p class="muted">Soon here.</p>')))


def product(view, found):
    item, reviews = found
    buy = html("""
<form class="row" method="post" action="/cart"><input type="hidden" name="product" value="{item.id}">
<label class="small">Quantity <input type="number" name="quantity" value="1" min="1" max="{most}"></label>
<button>Add to cart</button></form>""", item=item, most=min(item.stock, shop.QUANTITY_MAX))
    return layout(view, item.name, html("""
<p class="crumbs"><a href="/">Shop</a> / {item.name}</p>
<article class="product"><div>{picture}</div><div class="about">
<h1>{item.name}</h1><p class="lead">{item.summary}</p>
<p class="price">{price} {badge}</p>{buy}
<p class="text">{item.description}</p>
<ul class="promises"><li>Free delivery</li><li>30 days to change your mind</li><li>Pay when it arrives</li></ul>
</div></article>{reviews}""", item=item, picture=picture(item.picture, item.hue),
                                         price=shop.money(item.price, view.currency),
                                         badge=availability(item), buy=buy if item.stock else "",
                                         reviews=review_section(view, item, reviews)))


def stars(count):
    return html('<span class="stars" title="{n} of 5">{full}<i>{rest}</i></span>', n=count,
                full="★" * count, rest="★" * (5 - count))


def review_section(view, item, reviews):
    if "reviews" not in view.modules:
        return ""
    shown = [html("""
<li><p>{stars} <strong>{review.author}</strong> <span class="muted">{when}</span></p>
<p class="text">{review.text}</p></li>""", review=review, stars=stars(review.stars),
                  when=when(review.created_at)) for review in reviews]
    choice = options([(n, "★" * n) for n in range(5, 0, -1)], 5)
    return html("""
<section class="split" id="reviews"><div><h2>Reviews{average}</h2>{shown}</div>
<form class="panel" method="post" action="/products/{item.id}/reviews"><h3>Write a review</h3>
<label>Your name <input name="author" required maxlength="60"></label>
<label>Stars <select name="stars">{choice}</select></label>
<label>What did you like? <textarea name="text" rows="4" required maxlength="2000"></textarea></label>
<button>Send review</button></form></section>""", item=item, choice=choice, average=html(
        ' <span class="muted">({n})</span>', n=len(reviews)) if reviews else "",
                shown=html('<ul class="reviews">{shown}</ul>', shown=shown) if shown else html(
                    '<p class="muted">None yet. Be the first.</p>'))


def cart(view, lines):
    if not lines:
        return layout(view, "Cart", html(
            '<section class="empty"><h1>Your cart is empty</h1>'
            '<p><a class="button" href="/">See our products</a></p></section>'))
    change = """<form method="post" action="/cart/change"><input type="hidden" name="product"
 value="{item.id}"><input type="number" name="quantity" value="{n}" min="0" max="99"
 aria-label="Quantity"><button class="quiet">Update</button><button class="quiet" name="remove"
 value="1" aria-label="Remove">×</button></form>"""
    rows = [html("""
<tr><td class="thumb">{picture}</td><td><a href="/products/{item.id}">{item.name}</a>
<span class="muted block">{each} each</span></td><td>{change}</td><td class="right">{sum}</td></tr>""",
                 item=item, picture=picture(item.picture, item.hue),
                 each=shop.money(item.price, view.currency), change=html(change, item=item, n=n),
                 sum=shop.money(item.price * n, view.currency)) for item, n in lines]
    return layout(view, "Cart", html("""
<h1>Your cart</h1><div class="split"><table class="lines">{rows}</table>
<aside class="panel">{sums}<p><a class="button full" href="/checkout">Checkout</a></p></aside></div>""",
                                     rows=rows, sums=sums(view.currency, total(lines))))


def total(lines):
    return sum(item.price * quantity for item, quantity in lines)


def sums(currency, subtotal, discount=0, coupon=""):
    less = html("<dt>Coupon {code}</dt><dd>−{amount}</dd>", code=coupon,
                amount=shop.money(discount, currency)) if discount else ""
    return html("<dl class=sums><dt>Subtotal</dt><dd>{subtotal}</dd>{less}<dt>Delivery</dt><dd>Free</dd>"
                "<dt class=total>Total</dt><dd class=total>{total}</dd></dl>", less=less,
                subtotal=shop.money(subtotal, currency),
                total=shop.money(subtotal - discount, currency))


def checkout(view, lines, form, message=""):
    if not lines:
        return cart(view, lines)
    known = {name: form.get(name, "") for name in ("name", "email", "address", "coupon", "order")}
    coupon = html('<label>Coupon <input name="coupon" value="{value}" maxlength="30"'
                  ' autocomplete="off"></label>', value=known["coupon"])
    rows = [html("<li><span>{n} × {item.name}</span><span>{sum}</span></li>", n=n, item=item,
                 sum=shop.money(item.price * n, view.currency)) for item, n in lines]
    return layout(view, "Checkout", html("""
<h1>Checkout</h1>{alert}<div class="split"><form class="panel" method="post" action="/checkout">
<input type="hidden" name="order" value="{known[order]}">
<label>Name <input name="name" value="{known[name]}" required maxlength="100" autocomplete="name"></label>
<label>E-mail <input type="email" name="email" value="{known[email]}" required maxlength="200"
 autocomplete="email"></label>
<label>Delivery address <textarea name="address" rows="3" required maxlength="500"
 autocomplete="street-address">{known[address]}</textarea></label>{coupon}
<button class="full">Place order</button></form>
<aside class="panel"><ul class="summary">{rows}</ul>{sums}</aside></div>""", alert=alert(message),
                                         known=known, rows=rows,
                                         coupon=coupon if "coupons" in view.modules else "",
                                         sums=sums(view.currency, total(lines))))


def order_table(found):
    rows = [html('<tr><td class="thumb">{picture}</td><td>{line.name}<span class="muted block">{line.quantity}'
                 ' × {each}</span></td><td class="right">{sum}</td></tr>', line=line,
                 picture=picture(line.picture, line.hue),
                 each=shop.money(line.price, found.currency),
                 sum=shop.money(line.price * line.quantity, found.currency)) for line in found.lines]
    return html('<table class="lines">{rows}</table>', rows=rows)


def order_facts(found):
    return html("""
<h3>Delivered to</h3><p class="text">{o.name}
{o.address}</p><p class="muted">{o.email}</p>{sums}""", o=found, sums=sums(
        found.currency, found.subtotal, found.discount, found.coupon))


def status(found):
    return html('<span class="badge {s}">{s}</span>', s=found.status)


def order(view, found):
    lead = {"new": "Thank you! We pack it today and write to you when it is on its way.",
            "sent": "It is on its way to you.", "cancelled": "This order was cancelled."}
    return layout(view, f"Order {found.number}", html("""
<h1>Order {o.number} {status}</h1><p class="lead">{lead}</p>
<div class="split"><div>{table}<p class="muted">Placed on {when}</p></div>
<aside class="panel">{facts}</aside></div>""", o=found, status=status(found),
                                                   lead=lead[found.status],
                                                   table=order_table(found),
                                                   when=when(found.created_at),
                                                   facts=order_facts(found)))


# The shopkeeper's side


def orders_table(orders):
    rows = [html('<tr><td><a href="/admin/orders/{o.number}">{o.number}</a></td><td>{when}</td><td>{o.name}</td>'
                 '<td>{status}</td><td class="right">{total}</td></tr>', o=o, when=when(o.created_at),
                 status=status(o), total=shop.money(o.total, o.currency)) for o in orders]
    return html('<div class="scroll"><table class="list"><thead><tr><th>Order<th>Placed<th>Customer<th>Status'
                '<th class="right">Total</thead>{rows}</table></div>', rows=rows) if rows else html(
        '<p class="panel muted">No orders yet.</p>')


def admin(view, found):
    numbers, orders, reports = found
    tiles = [html('<div class="panel tile"><b>{value}</b><span class="muted">{label}</span></div>',
                  value=value, label=label) for value, label in (
        (numbers["waiting"], "orders to send"), (numbers["orders"], "orders in all"),
        (shop.money(numbers["revenue"], view.currency), "revenue in all"),
        (numbers["low"], "products low in stock"))]
    days = [html('<pre class="panel">{text}</pre>', text=day.text) for day in reports]
    return layout(view, "Overview", html("""
<h1>Overview</h1><div class="tiles">{tiles}</div><h2>Latest orders</h2>{orders}
<h2>Daily reports</h2><div class="reports">{days}</div>""", tiles=tiles, orders=orders_table(orders),
                                         days=days or html('<p class="panel muted">None yet.</p>')),
                  admin=True)


def orders(view, orders, per_page):
    older = html('<p><a href="/admin/orders?before={n}">Older orders</a></p>',
                 n=orders[-1].number) if len(orders) == per_page else ""
    return layout(view, "Orders", html("<h1>Orders</h1>{table}{older}", older=older,
                                       table=orders_table(orders)), admin=True)


def admin_order(view, found):
    buttons = html("""
<form class="row" method="post" action="/admin/orders/{o.number}"><button name="status" value="sent">Mark as sent</button>
<button class="quiet" name="status" value="cancelled">Cancel order</button></form>""", o=found)
    return layout(view, f"Order {found.number}", html("""
<p class="crumbs"><a href="/admin/orders">Orders</a> / {o.number}</p><h1>Order {o.number} {status}</h1>
<div class="split"><div>{table}{buttons}</div><aside class="panel">{facts}</aside></div>""",
                                                   o=found, status=status(found),
                                                   table=order_table(found),
                                                   facts=order_facts(found),
                                                   buttons=buttons if found.status == "new" else ""),
                  admin=True)


def products(view, items):
    rows = [html("""
<tr><td class="thumb">{picture}</td><td><a href="/admin/products/{item.id}">{item.name}</a>
<span class="muted block">{shown}</span></td><td class="right">{price}</td><td class="right">{item.stock}</td>
<td><form method="post" action="/admin/products/{item.id}/stock"><input name="change" inputmode="numeric"
 placeholder="+10" aria-label="Change of stock" required><button class="quiet">Add</button></form></td></tr>""",
                 item=item, picture=picture(item.picture, item.hue),
                 shown=item.summary if item.shown else "hidden",
                 price=shop.money(item.price, view.currency)) for item in items]
    return layout(view, "Products", html("""
<div class="row between"><h1>Products</h1><a class="button" href="/admin/products/new">Add a product</a></div>
<div class="scroll"><table class="list"><thead><tr><th><th>Product<th class="right">Price<th class="right">Stock
<th>Change stock</thead>{rows}</table></div>""", rows=rows), admin=True)


def edit_product(view, found):
    item, reviews = found
    hues = [(12, "Terracotta"), (38, "Amber"), (55, "Straw"), (140, "Fern"), (172, "Lagoon"),
            (205, "Harbour"), (240, "Night"), (280, "Violet"), (348, "Rose")]
    if item.hue not in dict(hues):
        hues.append((item.hue, "As it is"))
    stock = html('<label>In stock <input name="stock" value="0" inputmode="numeric" required></label>')
    delete = [html("""
<li class="row between"><span>{stars} <strong>{review.author}</strong><span class="block muted">{review.text}</span>
</span><form method="post" action="/admin/reviews/{review.id}/delete"><button class="quiet">Delete</button></form></li>""",
                   review=review, stars=stars(review.stars)) for review in reviews]
    return layout(view, item.name or "New product", html("""
<p class="crumbs"><a href="/admin/products">Products</a> / {title}</p><h1>{title}</h1>
<div class="split"><form class="panel" method="post" action="/admin/products{path}">
<label>Name <input name="name" value="{item.name}" required maxlength="80"></label>
<label>Summary <input name="summary" value="{item.summary}" required maxlength="160"></label>
<label>Description <textarea name="description" rows="5" maxlength="4000">{item.description}</textarea></label>
<div class="pair"><label>Price in {currency} <input name="price" value="{price}" inputmode="decimal" required
 pattern="[0-9]+([.][0-9][0-9])?"></label>{stock}
<label>Picture <select name="picture">{motifs}</select></label>
<label>Colour <select name="hue">{hues}</select></label></div>
<label class="check"><input type="checkbox" name="shown" value="1"{shown}> On sale</label>
<button>Save</button></form><aside>{picture}{reviews}</aside></div>""",
                                                        item=item, title=item.name or "New product",
                                                        path=f"/{item.id}" if item.id else "",
                                                        currency=view.currency,
                                                        price=f"{item.price // 100}.{item.price % 100:02}",
                                                        stock="" if item.id else stock,
                                                        motifs=options([(m, m.title()) for m in MOTIFS],
                                                                       item.picture),
                                                        hues=options(hues, item.hue),
                                                        shown=Html(" checked") if item.shown else "",
                                                        picture=picture(item.picture, item.hue),
                                                        reviews=html('<ul class="reviews">{l}</ul>', l=delete)),
                  admin=True)


def coupons(view, coupons):
    rows = [html("""
<tr><td><code>{c.code}</code></td><td>{c.percent} %</td><td>{c.uses} of {c.uses_max}</td><td>{badge}</td>
<td class="right"><form method="post" action="/admin/coupons/{c.code}"><button class="quiet">{verb}</button></form></td></tr>""",
                 c=c, badge=html('<span class="badge {s}">{s}</span>', s="active" if c.active else "off"),
                 verb="Switch off" if c.active else "Switch on") for c in coupons]
    return layout(view, "Coupons", html("""
<h1>Coupons</h1><div class="split"><div class="scroll"><table class="list"><thead><tr><th>Code<th>Discount<th>Used<th>State<th></thead>
{rows}</table></div><form class="panel" method="post" action="/admin/coupons"><h3>Add a coupon</h3>
<label>Code <input name="code" required maxlength="30" pattern="[A-Za-z0-9\\-]+"></label>
<label>Discount in per cent <input name="percent" type="number" min="1" max="100" value="10" required></label>
<label>May be used <input name="uses_max" type="number" min="1" max="1000000" value="100" required></label>
<button>Add coupon</button></form></div>""", rows=rows), admin=True)
