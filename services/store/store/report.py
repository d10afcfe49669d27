"""The job that sums up a day's sales and keeps the result."""

import time
from datetime import date, datetime, timedelta, timezone

from store import shop


class UnknownDay(Exception):
    """The day given is none."""


def run(database, config, day=None):
    """Sums up a day (UTC; yesterday if none is given); a second run replaces the first."""
    begin, end = bounds(day)
    day = f"{begin:%Y-%m-%d}"
    with database.write() as tx:
        settings = shop.settings(tx, config)
        total = tx.one(
            "SELECT COUNT(*) AS orders, CAST(COALESCE(SUM(total), 0) AS BIGINT) AS revenue,"
            " CAST(COALESCE(SUM(discount), 0) AS BIGINT) AS discount FROM orders"
            " WHERE created_at >= ? AND created_at < ? AND status <> 'cancelled'",
            int(begin.timestamp()), int(end.timestamp()),
        )
        sold = tx.all(
            "SELECT l.name, CAST(SUM(l.quantity) AS BIGINT) AS quantity FROM order_lines l"
            " JOIN orders o ON o.id = l.order_id"
            " WHERE o.created_at >= ? AND o.created_at < ? AND o.status <> 'cancelled'"
            " GROUP BY l.name ORDER BY quantity DESC, l.name",
            int(begin.timestamp()), int(end.timestamp()),
        )
        lines = [
            f"{settings['shop_name']}: sales of {day}",
            f"Orders     {total.orders}",
            f"Discounts  {shop.money(total.discount, settings['currency'])}",
            f"Revenue    {shop.money(total.revenue, settings['currency'])}",
            *(f"{row.quantity:>6} × {row.name}" for row in sold),
        ]
        tx.run(
            "INSERT INTO reports (day, orders, revenue, text, created_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (day) DO UPDATE SET orders = excluded.orders,"
            " revenue = excluded.revenue, text = excluded.text, created_at = excluded.created_at",
            day, total.orders, total.revenue, "\n".join(lines), int(time.time()),
        )
    return "\n".join(lines)


def bounds(day):
    try:
        first = date.fromisoformat(day) if day else datetime.now(timezone.utc).date() - timedelta(1)
        begin = datetime(first.year, first.month, first.day, tzinfo=timezone.utc)
        return begin, begin + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UnknownDay(f"`{day}` is not a day: write it as YYYY-MM-DD") from None


def latest(tx):
    return tx.all("SELECT * FROM reports ORDER BY day DESC LIMIT 7")
