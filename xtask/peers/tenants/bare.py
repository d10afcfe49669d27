"""The bare steps of a migration with a copy of each database: copy, the same command, two renames.

    bare.py prepare URL COUNT FOLDER      makes the databases
    bare.py migrate URL COUNT FOLDER      migrates them, four at once; prints the seconds it took
"""

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


def forget(number):
    """What the round before has left; Mandate, too, removes it later."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'drop database if exists "bare_{number}_old"')


def migrate(number):
    name = f"bare_{number}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'create database "{name}_new" template "{name}" strategy wal_log')
        change(f"{name}_new")
        admin.execute(f'alter database "{name}" rename to "{name}_old"')
        admin.execute(f'alter database "{name}_new" rename to "{name}"')


with ThreadPoolExecutor(AT_ONCE) as workers:
    list(workers.map(forget, range(count)))
    begun = time.monotonic()
    list(workers.map({"prepare": prepare, "migrate": migrate}[what], range(count)))
print(time.monotonic() - begun)
