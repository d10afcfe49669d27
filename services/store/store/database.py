"""One SQL text, two engines: SQLite and PostgreSQL.

Placeholders are `?`. Every statement runs inside `read()` or `write()`, which lend a pooled
connection, open a transaction, and commit it or roll it back.
"""

import queue
import re
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

from store.config import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECTIONS_MAX = 8
WAIT_SECONDS = 15
# Any number would do; it only has to be the same in every process that migrates this database.
MIGRATION_LOCK = 7_305_127


class Sqlite:
    BEGIN_READ, BEGIN_WRITE = "BEGIN", "BEGIN IMMEDIATE"
    LOCK_MIGRATIONS = None  # BEGIN IMMEDIATE lets one writer in

    def __init__(self, url):
        self.path = unquote(urlsplit(url).path)
        self.Duplicate, self.Lost = sqlite3.IntegrityError, ()  # a file is never disconnected

    def connect(self):
        connection = sqlite3.connect(
            self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def text(self, sql):
        return sql


class Postgres:
    # Several statements of a read see one moment, as they do on SQLite.
    BEGIN_READ, BEGIN_WRITE = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN"
    LOCK_MIGRATIONS = f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"

    def __init__(self, url):
        import psycopg  # only here: on SQLite the standard library is enough

        self.url, self.psycopg = url, psycopg
        self.Duplicate, self.Lost = psycopg.errors.UniqueViolation, psycopg.OperationalError

    def connect(self):
        return self.psycopg.connect(self.url, autocommit=True, connect_timeout=WAIT_SECONDS)

    def text(self, sql):
        return sql.replace("?", "%s")


class Transaction:
    """Runs statements; rows come back with a field per column."""

    def __init__(self, engine, connection):
        self.engine, self.connection = engine, connection

    def run(self, sql, *values):
        """Runs a statement and says how many rows it changed."""
        return self.connection.execute(self.engine.text(sql), values).rowcount

    def all(self, sql, *values):
        cursor = self.connection.execute(self.engine.text(sql), values)
        names = [column[0] for column in cursor.description]
        return [SimpleNamespace(**dict(zip(names, row))) for row in cursor.fetchall()]

    def one(self, sql, *values):
        return next(iter(self.all(sql, *values)), None)


class Database:
    def __init__(self, url):
        engines = {"sqlite": Sqlite, "postgres": Postgres, "postgresql": Postgres}
        scheme = url.partition(":")[0]
        if scheme not in engines:
            raise ConfigError(f"DATABASE_URL starts with `{scheme}`: use `sqlite` or `postgres`")
        self.engine = engines[scheme](url)
        self.Duplicate = self.engine.Duplicate
        self.idle = queue.LifoQueue()
        self.free = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def read(self):
        return self._transaction(self.engine.BEGIN_READ)

    def write(self):
        return self._transaction(self.engine.BEGIN_WRITE)

    @contextmanager
    def _transaction(self, begin):
        if not self.free.acquire(timeout=WAIT_SECONDS):
            raise TimeoutError("every database connection is busy")
        try:
            connection = self._begin(begin)
            try:
                yield Transaction(self.engine, connection)
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            self.idle.put(connection)
        finally:
            self.free.release()

    def _begin(self, begin):
        """Begins on an idle connection that still works, else on a new one."""
        while True:
            try:
                connection = self.idle.get_nowait()
            except queue.Empty:
                break
            try:
                connection.execute(begin)
                return connection
            except self.engine.Lost:
                connection.close()
        connection = self.engine.connect()
        try:
            connection.execute(begin)
        except BaseException:
            connection.close()
            raise
        return connection

    def _roll_back(self, connection):
        try:
            connection.execute("ROLLBACK")
            self.idle.put(connection)
        except Exception:
            connection.close()

    def migrate(self):
        """Applies the migrations that are missing, each in a transaction, and names them."""
        applied = []
        for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
            with self.write() as tx:
                if self.engine.LOCK_MIGRATIONS:
                    tx.run(self.engine.LOCK_MIGRATIONS)
                tx.run(
                    "CREATE TABLE IF NOT EXISTS migrations"
                    " (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)"
                )
                if tx.one("SELECT name FROM migrations WHERE name = ?", path.stem):
                    continue
                for statement in re.split(r";\s*\n", path.read_text()):
                    if statement.strip():
                        tx.run(statement)
                now = int(time.time())
                tx.run("INSERT INTO migrations (name, applied_at) VALUES (?, ?)", path.stem, now)
                applied.append(f"applied {path.stem}")
        return applied

    def close(self):
        while not self.idle.empty():
            self.idle.get().close()
