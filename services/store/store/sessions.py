"""Flask's sessions, signed with a key that the shop keeps."""

import secrets

from flask.sessions import SecureCookieSessionInterface
from sqlalchemy.exc import IntegrityError

from store.models import Setting, db

KEY = "secret_key"


class KeptKeySessions(SecureCookieSessionInterface):
    """The key is SECRET_KEY, or else one that the first visit leaves in the database."""

    def open_session(self, app, request):
        # Files and the health check have no session, and need no database.
        if request.path == "/healthz" or request.path.startswith(f"{app.static_url_path}/"):
            return self.session_class()
        return super().open_session(app, request)

    def get_signing_serializer(self, app):
        app.secret_key = app.secret_key or kept_key()
        return super().get_signing_serializer(app)


def kept_key():
    if key := db.session.get(Setting, KEY):
        return key.value
    try:
        db.session.add(Setting(name=KEY, value=secrets.token_hex(32)))
        db.session.commit()
    except IntegrityError:
        db.session.rollback()  # another process was faster; its key is as good
    return db.session.get(Setting, KEY).value
