"""A shop on Oscar: the settings that its documentation asks everybody to write for themselves."""

import os

import dj_database_url
from oscar.defaults import *

SHOP = "address analytics basket catalogue checkout communication customer dashboard offer order"
SHOP += " partner payment search shipping voucher wishlists"
DASHBOARD = "catalogue communications offers orders pages partners ranges reports reviews shipping"
DASHBOARD += " users vouchers"
DJANGO = "auth contenttypes flatpages messages sessions sites staticfiles"

INSTALLED_APPS = [
    *(f"django.contrib.{name}" for name in DJANGO.split()),
    "oscar.config.Shop",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    *(f"oscar.apps.{name}.apps.{name.title()}Config" for name in SHOP.split()),
    *(f"oscar.apps.dashboard.{name}.apps.{name.title()}DashboardConfig"
      for name in DASHBOARD.split()),
    "django_tables2", "haystack", "sorl.thumbnail", "treebeard", "widget_tweaks",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
        *(f"django.template.context_processors.{name}" for name in ("i18n", "media", "request")),
        "oscar.apps.checkout.context_processors.checkout",
        "oscar.apps.communication.notifications.context_processors.notifications",
        "oscar.apps.search.context_processors.search_form",
        "oscar.core.context_processors.metadata",
    ]},
}]
AUTHENTICATION_BACKENDS = ["oscar.apps.customer.auth_backends.EmailBackend"]
HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.RealtimeSignalProcessor"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DATABASES = {"default": dj_database_url.config()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF, SITE_ID, USE_TZ = "urls", 1, True
STATIC_ROOT, STATIC_URL, MEDIA_URL = "static", "/static/", "/media/"
LANGUAGES = [("en", "English")]

# What is each customer's own; there is none yet while the release is built.
MEDIA_ROOT = os.environ.get("VOLUME_MEDIA", "")
HAYSTACK_CONNECTIONS = {"default": {
    "ENGINE": "haystack.backends.whoosh_backend.WhooshEngine",
    "PATH": os.environ.get("VOLUME_SEARCH", "search"),
}}
SECRET_KEY = os.environ.get("SECRET_KEY", "while it is built")
OSCAR_SHOP_NAME = os.environ.get("SETUP_NAME", "")
OSCAR_DEFAULT_CURRENCY = os.environ.get("SETUP_CURRENCY", "USD")
CSRF_TRUSTED_ORIGINS = list(filter(None, [os.environ.get("PUBLIC_URL")]))
ALLOWED_HOSTS = ["*"]  # no other host's requests come here
