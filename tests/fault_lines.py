"""Every line at which a process may die, of every node of the released pipeline and of the verbs that decide.

A scenario is what is being done when it happens:

    run      a quarter's scheduled run, which serves its release instead of the one before and takes out an older one
    again    its second attempt at a node, after the first was killed with everything it had half-written
    cleared  a node that had finished is cleared: the run's next generation begins there
    rollback, promote, prune, doctor    the verbs, each with as much to do as there is
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Line:
    """One line at which a process is killed.

    Attributes:
      scenario: What is being done.
      doing: What the process works on: a node, or a verb.
      point: The fault point.
    """

    scenario: str
    doing: str
    point: str

    def __str__(self) -> str:
        return f"{self.scenario}-{self.doing}-{self.point}"


BEGINS = ("node.leased", "repair.dead_closed", "node.cleared", "execute.begun")
WORKS = ("execute.resolved", "launch.registered", "launch.prepared")
PUBLISHES = ("launch.executed", "launch.stamped", "launch.published")
ENDS = ("execute.finished", "node.worked")
VERSION = ("publish.copying", "publish.copied", "publish.sealed", "publish.renamed", "publish.closed", "publish.published")
DECISION = ("journal.written", "journal.committed")
TAKEN_OUT = ("base_path.set_aside", "base_path.taken_out")
CONFIG = ("base_path.config_staged", "base_path.config_written")

OF_RUN = {
    "run_spec": ("freeze.allocated", "freeze.saved", "freeze.recorded", "freeze.settled"),
    "data_gate": (*BEGINS, *WORKS, *PUBLISHES, *ENDS),
    "trainer": (*BEGINS, *WORKS, *PUBLISHES, *ENDS),
    "baseline": (*BEGINS, "launch.registered", "launch.published", *ENDS),
    "model_gate": (*BEGINS, *WORKS, *PUBLISHES, *ENDS),
    "pusher": (*BEGINS, *WORKS, *VERSION, *PUBLISHES, *ENDS),
    "promoter": (
        *BEGINS, *WORKS, *DECISION, *VERSION, "base_path.brought_in", *CONFIG, *TAKEN_OUT, *PUBLISHES, *ENDS
    ),
}  # fmt: skip
SECOND_TIME = ("node.leased", "repair.dead_closed", "node.cleared", "execute.begun", "execute.resolved", "launch.registered")
OF_VERBS = {
    "rollback": (*DECISION, *VERSION, "base_path.brought_in", *CONFIG, *TAKEN_OUT),
    "promote": (*DECISION, *VERSION, "base_path.brought_in", *CONFIG, *TAKEN_OUT),
    "prune": (*DECISION, "retention.set_aside"),
    "doctor": ("repair.dead_closed", "base_path.changed_aside", *VERSION, "base_path.brought_in", *CONFIG, *TAKEN_OUT),
}

RUN = [Line("run", node, point) for node, points in OF_RUN.items() for point in points]
AGAIN = [Line("again", node, point) for node in OF_RUN if node != "run_spec" for point in SECOND_TIME if point in OF_RUN[node]]
CLEARED = [
    Line("cleared", "model_gate", point)
    for point in ("freeze.saved", "freeze.recorded", "freeze.settled", "node.leased", "execute.resolved", "launch.executed")
]
VERBS = [Line(verb, verb, point) for verb, points in OF_VERBS.items() for point in points]
ALL = [*RUN, *AGAIN, *CLEARED, *VERBS]
