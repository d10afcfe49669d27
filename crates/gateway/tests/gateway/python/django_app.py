"""The smallest Django that checks its forms. Prints the port at which it answers."""

from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import path

settings.configure(
    SECRET_KEY="of no use to anybody, since it lives as long as a test",
    ALLOWED_HOSTS=[".localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    CSRF_COOKIE_SECURE=True,
)


def form(request):
    return HttpResponse("taken" if request.method == "POST" else get_token(request))


urlpatterns = [path("topics/1/posts", form)]
server = make_server("127.0.0.1", 0, get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
