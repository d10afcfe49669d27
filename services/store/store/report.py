"""The job that sums up a day's sales and keeps the result."""

from datetime import date, datetime, timedelta, timezone

from sqlalchemy import func, select

from store import shop
from store.models import Order, OrderLine, Report, db, now


def run(day=None):
    """Sums up a day (UTC; yesterday if none is given); a second run replaces the first."""
    begin, end = bounds(day)
    sold_then = (Order.created_at >= int(begin.timestamp()),
                 Order.created_at < int(end.timestamp()), Order.status != "cancelled")
    orders, revenue, discount = db.session.execute(select(
        func.count(), func.coalesce(func.sum(Order.total), 0),
        func.coalesce(func.sum(Order.discount), 0)).where(*sold_then)).one()
    quantity = func.sum(OrderLine.quantity)
    sold = db.session.execute(
        select(OrderLine.name, quantity).join(Order, Order.id == OrderLine.order_id)
        .where(*sold_then).group_by(OrderLine.name).order_by(quantity.desc(), OrderLine.name))
    settings, day = shop.settings(), f"{begin:%Y-%m-%d}"
    text = "\n".join([
        f"{settings['shop_name']}: sales of {day}",
        f"Orders     {orders}",
        f"Discounts  {shop.money(int(discount), settings['currency'])}",
        f"Revenue    {shop.money(int(revenue), settings['currency'])}",
        *(f"{int(count):>6} × {name}" for name, count in sold),
    ])
    db.session.merge(Report(day=day, orders=orders, revenue=int(revenue), text=text,
                            created_at=now()))
    db.session.commit()
    return text


def bounds(day):
    first = date.fromisoformat(day) if day else datetime.now(timezone.utc).date() - timedelta(1)
    begin = datetime(first.year, first.month, first.day, tzinfo=timezone.utc)
    return begin, begin + timedelta(days=1)


def latest():
    return db.session.scalars(select(Report).order_by(Report.day.desc()).limit(7)).all()
