"""As many schemas as there are instances, migrated by django-tenants.

    tenants.py prepare COUNT              makes the schemas
    tenants.py migrate ROUND EXECUTOR     migrates them; prints the seconds it took
"""

import os
import subprocess
import sys
import time

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
MIGRATION = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "{before}")]
    operations = [migrations.RunSQL("{change}")]
"""


def manage(*arguments):
    command = [sys.executable, "-m", "django", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def prepare(count):
    manage("makemigrations", "customers")
    manage("migrate_schemas", "--shared")
    django.setup()
    from customers.models import Client
    from django.db import connection

    for number in range(count):
        Client.objects.create(schema_name=f"tenant_{number}")
        with connection.cursor() as cursor:
            cursor.execute(f"create schema tenant_{number}")
    manage("migrate_schemas", "--tenant", "--executor", "multiprocessing")


def migrate(number, executor):
    numbers = ["0001_initial"] + [f"{n + 1:04}_change" for n in range(1, number + 1)]
    change = f"alter table notes_note add column c{number} text; select pg_sleep(0.02)"
    with open(f"notes/migrations/{numbers[-1]}.py", "w") as file:
        file.write(MIGRATION.format(before=numbers[-2], change=change))
    begun = time.monotonic()
    manage("migrate_schemas", "--tenant", "--executor", executor)
    print(time.monotonic() - begun)


if sys.argv[1] == "prepare":
    prepare(int(sys.argv[2]))
else:
    migrate(int(sys.argv[2]), sys.argv[3])
