"""A little shop."""

from flask import Flask, render_template, request
from flask_migrate import Migrate
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from store import admin, api, catalogue, checkout, commands, pages, shop
from store.config import from_environment
from store.models import db
from store.sessions import KeptKeySessions

csrf = CSRFProtect()
csrf.exempt(api.blueprint)  # it takes JSON only, which no page of another site can send unasked


class KeyConverter(BaseConverter):
    """What stands for something in an address: letters, digits and hyphens."""

    regex = "[A-Za-z0-9-]{1,64}"
    part_isolating = True


def create_app(settings=None):
    app = Flask(__name__, static_folder="assets", static_url_path="/assets")
    app.config.from_mapping(from_environment() if settings is None else settings)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
    app.session_interface = KeptKeySessions()
    app.url_map.converters["key"] = KeyConverter
    db.init_app(app)
    Migrate(app, db, directory=str(commands.MIGRATIONS), render_as_batch=True)
    csrf.init_app(app)
    pages.init_app(app)
    for module in (catalogue, checkout, admin, api):
        app.register_blueprint(module.blueprint)
    commands.init_app(app)
    app.add_url_rule("/healthz", view_func=health)
    app.register_error_handler(HTTPException, http_problem)
    app.register_error_handler(shop.Refused, refusal)
    app.after_request(with_headers)
    return app


def health():
    return "ok\n", {"Content-Type": "text/plain; charset=utf-8"}


def http_problem(error):
    sentences = {
        404: "There is no such page.",
        405: "This page cannot be asked in this way.",
        413: "This is more than the shop takes.",
        500: "Something went wrong here. Please try again.",
    }
    message = sentences.get(error.code, error.description)
    if isinstance(error, CSRFError):
        message = "Please open the page again, and send its form from there."
    return problem(error.code, message, error.get_headers())


def refusal(error):
    return problem(error.status, str(error), [])


def problem(status, message, headers):
    kept = [(name, value) for name, value in headers if name == "Allow"]
    if request.path.startswith("/api/"):
        return {"error": message}, status, kept
    bare = pages.without_database()
    return render_template("problem.html", status=status, message=message, **bare), status, kept


def with_headers(response):
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'self'")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
