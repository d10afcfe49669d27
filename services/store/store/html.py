"""Templates that escape every value, unless it is markup already."""

import string
from html import escape


class Html(str):
    """Text that is markup."""


class _Escaping(string.Formatter):
    def format_field(self, value, spec):
        if isinstance(value, (list, tuple)):
            return "".join(self.format_field(part, spec) for part in value)
        return value if isinstance(value, Html) else escape(format(value, spec))


def html(template, **values):
    return Html(_Escaping().vformat(template, (), values))
