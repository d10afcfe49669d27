"""The bare steps of a migration with a copy of each database: copy, the same command, two renames.

    bare.py prepare URL COUNT FOLDER      makes the databases
    bare.py migrate URL COUNT FOLDER      migrates them, four at once; prints the seconds it took
    bare.py forget URL COUNT FOLDER       removes what was migrated from, also Mandate's, which keeps it
                                          for a day: the rounds would fill the machine's memory
"""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

AT_ONCE = 4

what, url, count, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
server = url.rsplit("/", 1)[0]


def change(database):
    environment = {"DATABASE_URL": f"{server}/{database}", "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "migrate.sh"], cwd=folder, env=environment, check=True)


def prepare(number):
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'create database "bare_{number}" template template0')
    change(f"bare_{number}")


def former():
    """The databases that something was migrated from."""
    with psycopg.connect(url) as admin:
        names = [name for (name,) in admin.execute("select datname from pg_database")]
    copies = {}
    for name in names:
        copy = re.fullmatch(r"(bench_inst_[0-9a-z]{26})(?:_(\d+))?", name)
        if copy:
            copies.setdefault(copy[1], []).append((int(copy[2] or 0), name))
    replaced = [name for these in copies.values() for _, name in sorted(these)[:-1]]
    return [name for name in names if re.fullmatch(r"bare_\d+_old", name)] + replaced


def forget(name):
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'drop database "{name}"')


def migrate(number):
    name = f"bare_{number}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'create database "{name}_new" template "{name}" strategy wal_log')
        change(f"{name}_new")
        admin.execute(f'alter database "{name}" rename to "{name}_old"')
        admin.execute(f'alter database "{name}_new" rename to "{name}"')


work = {"prepare": (prepare, range(count)), "migrate": (migrate, range(count))}
act, on = work[what] if what in work else (forget, former())
begun = time.monotonic()
with ThreadPoolExecutor(AT_ONCE) as workers:
    list(workers.map(act, on))
print(time.monotonic() - begun)
