from django.apps import apps
from django.urls import include, path

shop = include(apps.get_app_config("oscar").urls[0])
urlpatterns = [path("i18n/", include("django.conf.urls.i18n")), path("", shop)]
