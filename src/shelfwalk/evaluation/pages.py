"""HTML pages that need nothing else, from the templates beside this file.

In: a template's name and what it shows. Out: one page as text. Every page loads nothing from anywhere (its content
security policy forbids it), works light and dark and on a phone, and shows all text escaped.
"""

from __future__ import annotations

from pathlib import Path


def render_page(template: str, **shown: object) -> str:
    """Return the page that `template` makes of `shown`; raises jinja2.UndefinedError for a name that it lacks."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FileSystemLoader(Path(__file__).parent)
    )
    return environment.get_template(template).render(**shown)
