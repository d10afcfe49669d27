import os
from urllib.parse import urlsplit

server = urlsplit(os.environ["TENANTS_DATABASE"])
SECRET_KEY = "only for a measurement"
DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "NAME": server.path.lstrip("/"),
        "USER": server.username,
        "HOST": server.hostname,
        "PORT": server.port,
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes"]
TENANT_APPS = ["notes"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TENANT_MULTIPROCESSING_MAX_PROCESSES = 4
USE_TZ = True
