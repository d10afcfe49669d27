"""Commands beside Flask's own: `flask seed`, `flask report`."""

from pathlib import Path

import click

from store import report, samples

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def init_app(app):
    app.cli.add_command(seed)
    app.cli.add_command(sum_up)


@click.command("seed")
def seed():
    """Fill a new shop: its settings and sample products."""
    click.echo(samples.seed())


@click.command("report")
@click.argument("day", required=False)
def sum_up(day):
    """Sum up a day's sales (YYYY-MM-DD; yesterday if not given)."""
    try:
        click.echo(report.run(day))
    except (ValueError, OverflowError):
        raise click.ClickException(f"`{day}` is not a day: write it as YYYY-MM-DD") from None
