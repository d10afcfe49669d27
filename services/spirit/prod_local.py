import json, os, dj_database_url
from forum.settings.prod import *
INSTALLED_APPS += ["huey.contrib.djhuey"]
DATABASES = {"default": dj_database_url.config()}
globals().update(json.loads(os.environ["SPIRIT"]))
