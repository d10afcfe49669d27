"""A calendar client: `keep` writes an event into a new calendar, `list` says what is there."""

import sys
from datetime import datetime, timezone

import caldav
from caldav.lib.error import AuthorizationError

url, host, user, password, verb, *what = sys.argv[1:]
# Whether names under `localhost` lead here differs from machine to machine: it asks 127.0.0.1.
client = caldav.DAVClient(url=url, username=user, password=password, headers={"Host": host})
try:
    principal = client.principal()
    if verb == "keep":
        calendar = principal.make_calendar(name="Bakery")
        calendar.save_event(dtstart=datetime(2026, 12, 1, 5, tzinfo=timezone.utc),
                            dtend=datetime(2026, 12, 1, 6, tzinfo=timezone.utc), summary=what[0])
    december = {"start": datetime(2026, 12, 1, tzinfo=timezone.utc),
                "end": datetime(2027, 1, 1, tzinfo=timezone.utc)}
    for calendar in principal.calendars():
        for event in calendar.search(event=True, **december):
            print(f"{calendar.get_display_name()}: {event.icalendar_component['SUMMARY']}")
except AuthorizationError:
    print("refused")
