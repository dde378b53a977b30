"""What the documents name exists: verbs of make, verbs of the command line, settings, files."""

from __future__ import annotations

import pathlib
import re
import shlex

from waybill.cli.main import parser

PROJECT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]

PARSED = (
    "waybill run ",
    "waybill land ",
    "waybill init",
    "waybill graph",
    "waybill new ",
    "waybill schema ",
    "waybill promote ",
    *(f"waybill waive {verb} taxi" for verb in ("request", "approve", "withdraw", "list")),
)


def text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)


def code_spans() -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text(), re.DOTALL | re.MULTILINE)
    return [*re.findall(r"`([^`\n]+)`", text()), *(line.removeprefix("$ ") for block in blocks for line in block.splitlines())]


def test_every_make_verb_of_the_documents_is_in_the_makefile_and_the_readme_has_them_all() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {verb for span in code_spans() for verb in re.findall(r"^make ([a-z-]+)\b", span)}
    assert named <= targets
    assert targets <= set(re.findall(r"make ([a-z-]+)\b", (PROJECT / "README.md").read_text()))


def test_every_command_line_of_the_documents_is_understood() -> None:
    verbs = next(a for a in parser()._actions if a.dest == "verb").choices
    named = {m for span in code_spans() for m in re.findall(r"^waybill ([a-z][a-z-]*)", span)}
    assert named, "the documents name no verb of the command line"
    assert named <= set(verbs)
    for span in code_spans():
        if span.startswith(PARSED) and "<" not in span and "..." not in span:
            parser().parse_args(shlex.split(span.split("  ")[0])[1:])


def test_every_setting_of_the_code_is_documented_and_the_other_way_round() -> None:
    in_code = set(re.findall(r"WAYBILL_[A-Z_]+", (PROJECT / "waybill/records/settings.py").read_text()))
    in_setup = set(re.findall(r"WAYBILL_[A-Z_]+", "".join(p.read_text() for p in (PROJECT / "tools").rglob("*.py"))))
    operating = set(re.findall(r"WAYBILL_[A-Z_]+", (PROJECT / "docs/operating.md").read_text()))
    assert in_code == operating - in_setup
    assert set(re.findall(r"WAYBILL_[A-Z_]+", text())) <= in_code | in_setup


def test_every_file_the_documents_link_to_exists() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first_screen = "\n".join((PROJECT / "README.md").read_text().splitlines()[:40])
    assert "make demo" in first_screen and "make test" in first_screen


def test_every_rule_on_the_data_is_documented() -> None:
    modules = [PROJECT / "waybill/gates" / f"{name}.py" for name in ("data_rules", "drift", "volume", "transformed_rows")]
    named = set(re.findall(r'"((?:window|rows|schema|volume|drift)\.)([a-z_]+)', "".join(path.read_text() for path in modules)))
    documented = set(re.findall(r"`([a-z]+\.)([a-z_*]+)`", (PROJECT / "docs/gates.md").read_text()))
    assert len(named) >= 7
    assert {(group, rule) for group, rule in named if (group, "*") not in documented} <= documented
