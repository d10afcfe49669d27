"""How gunicorn serves the shop; it reads this file by itself."""

import os

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
threads = 8
preload_app = True  # a wrong environment ends it at once, with the reason
graceful_timeout = 8
control_socket_disable = True
