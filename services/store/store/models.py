"""What the shop keeps. Money is an integer number of cents, time is seconds UTC."""

import secrets
import sqlite3
import time

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, MetaData, Text, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry, relationship


class Base(DeclarativeBase):
    # Names for all constraints, so that later migrations can change them on either engine.
    metadata = MetaData(naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s"})
    registry = registry(type_annotation_map={int: BigInteger, str: Text})


db = SQLAlchemy(model_class=Base)


@event.listens_for(Engine, "connect")
def prepare(connection, _):
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")


def token():
    return secrets.token_hex(16)


def now():
    return int(time.time())


class Setting(db.Model):
    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Counter(db.Model):
    """A number that goes up; its row is locked until the transaction ends, so it has no gaps."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class Product(db.Model):
    __tablename__ = "products"
    __table_args__ = (CheckConstraint("price >= 0", name="price"),
                      CheckConstraint("stock >= 0", name="stock"))
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    summary: Mapped[str]
    description: Mapped[str]
    price: Mapped[int]
    stock: Mapped[int]
    picture: Mapped[str]
    hue: Mapped[int]
    shown: Mapped[bool]
    position: Mapped[int]


class Order(db.Model):
    __tablename__ = "orders"
    # Whoever has the id sees the order: it is long and says nothing.
    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    number: Mapped[int] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="new")
    name: Mapped[str]
    email: Mapped[str]
    address: Mapped[str]
    currency: Mapped[str]
    subtotal: Mapped[int]
    coupon: Mapped[str]
    discount: Mapped[int]
    total: Mapped[int]
    created_at: Mapped[int] = mapped_column(index=True, default=now)
    lines: Mapped[list["OrderLine"]] = relationship(
        order_by="OrderLine.product_id", lazy="selectin", cascade="all, delete-orphan")


class OrderLine(db.Model):
    __tablename__ = "order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)
    order_id: Mapped[str] = mapped_column(ForeignKey(Order.id), primary_key=True)
    product_id: Mapped[str] = mapped_column(ForeignKey(Product.id), primary_key=True)
    name: Mapped[str]
    price: Mapped[int]
    quantity: Mapped[int]
    product: Mapped[Product] = relationship(lazy="joined")


class Coupon(db.Model):
    __tablename__ = "coupons"
    __table_args__ = (CheckConstraint("percent BETWEEN 1 AND 100", name="percent"),)
    code: Mapped[str] = mapped_column(primary_key=True)
    percent: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    uses_max: Mapped[int]
    active: Mapped[bool] = mapped_column(default=True)


class Review(db.Model):
    __tablename__ = "reviews"
    __table_args__ = (Index("ix_reviews_product_id", "product_id", "created_at"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    product_id: Mapped[str] = mapped_column(ForeignKey(Product.id))
    author: Mapped[str]
    stars: Mapped[int]
    text: Mapped[str]
    created_at: Mapped[int] = mapped_column(default=now)


class Report(db.Model):
    __tablename__ = "reports"
    day: Mapped[str] = mapped_column(primary_key=True)
    orders: Mapped[int]
    revenue: Mapped[int]
    text: Mapped[str]
    created_at: Mapped[int] = mapped_column(default=now)
