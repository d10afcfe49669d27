"""The commands: serve, migrate, seed, report."""

import sys

from store import app, report, samples, server
from store.config import Config, ConfigError
from store.database import Database

USAGE = """usage: ./run COMMAND
  serve          answer on PORT until SIGTERM
  migrate        bring the database to this release's tables
  seed           fill a new shop: its settings and sample products
  report [DAY]   sum up a day's sales (YYYY-MM-DD; yesterday if not given)"""


def main(arguments):
    command, rest = (arguments[0] if arguments else ""), arguments[1:]
    if command not in ("serve", "migrate", "seed", "report") or len(rest) > (command == "report"):
        sys.exit(USAGE)
    config = Config.from_environment()
    database = Database(config.database_url)
    try:
        if command == "serve":
            server.serve(app.App(config, database), config.host, config.port)
        elif command == "migrate":
            print("\n".join(database.migrate()) or "nothing to do")
        elif command == "seed":
            print(samples.seed(database, config))
        else:
            print(report.run(database, config, rest[0] if rest else None))
    finally:
        database.close()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ConfigError, report.UnknownDay) as error:
        sys.exit(f"store: {error}")
