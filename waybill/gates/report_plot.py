"""Something to draw -> a plot for a gate's page, or the reason why there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from markupsafe import Markup

MAX_ROWS = 40  # of the table behind a plot


@dataclasses.dataclass(frozen=True)
class Plot:
    """One plot of a page, with the numbers behind it as a table.

    Attributes:
      title: What is drawn, such as the name of a feature. It may come from data.
      says: A sentence for those who do not see it, and for those who do.
      picture: An inline SVG of `report_svg`; empty when there are numbers only, or it could not be drawn.
      head: Names of the table's columns.
      rows: Rows of the table, of which a page shows the first `MAX_ROWS`.
      section: Heading that the plot stands under.
      urgent: Whether the verdict's reasons are about it, so that it comes first.
      problem: Why it could not be drawn; empty when it could.
    """

    title: str
    says: str = ""
    picture: Markup = dataclasses.field(default_factory=Markup)
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    section: str = "Plots"
    urgent: bool = False
    problem: str = ""


def attempt(title: str, section: str, draw: Callable[[], Plot]) -> Plot:
    """Draws a plot; whatever goes wrong becomes a plot that says so, since a verdict does not wait for its pictures."""
    try:
        return draw()
    except Exception as error:  # noqa: BLE001 - what data hold can break arithmetic in ways nobody lists
        return Plot(title, section=section, problem=f"{type(error).__name__}: {error}")
