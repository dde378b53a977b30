"""The working tree and the installed environment -> the identities a run spec records."""

from __future__ import annotations

import functools
import importlib.metadata
import pathlib
import platform
import subprocess

from waybill.launch.errors import SpecMismatch
from waybill.records import digest
from waybill.records.run_spec import Code, Environment, RunSpec

_VERSIONS = (
    "tfx",
    "tensorflow",
    "tf-keras",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "tensorflow-data-validation",
    "ml-metadata",
    "apache-beam",
)
# What cannot change a node's outcome: how it is scheduled, and how a person asks.
_OUTSIDE = ("waybill/orchestration", "waybill/cli", "waybill/scaffold")


def code(project: pathlib.Path, pipeline: str, schema: str) -> Code:
    """The identity of everything that decides what `pipeline` computes.

    Args:
      project: The project folder.
      pipeline: Name of the pipeline.
      schema: Its schema file, relative to the project.
    """
    commit = _git(project, "rev-parse", "HEAD")
    paths = ("waybill", "components", ":(glob)pipelines/*.py", f"pipelines/{pipeline}", schema)
    dirty = bool(commit) and bool(_git(project, "status", "--porcelain", "--", *paths))
    return Code(commit=commit, dirty=dirty, digest=code_digest(project, pipeline, schema))


def code_digest(project: pathlib.Path, pipeline: str, schema: str) -> str:
    """The part of `code` that decides; git, which takes longer to ask than all files take to read, is for people."""
    files = [project / schema, *(project / "pipelines").glob("*.py")]  # what pipelines share, too
    for folder in ("waybill", "components", f"pipelines/{pipeline}"):
        files += [
            path
            for path in (project / folder).rglob("*.py")
            if not path.relative_to(project).as_posix().startswith(_OUTSIDE) and "__pycache__" not in path.parts
        ]
    return digest.of_files(project, files)


@functools.lru_cache(maxsize=1)
def environment(project: pathlib.Path) -> Environment:
    """The identity of TFX's Python: its lock, its interpreter's version, and the versions people ask about."""
    parts = [digest.of_file(project / "requirements.txt"), ".".join(platform.python_version_tuple()[:2])]
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return Environment(digest=digest.of_json(parts), versions=versions)


def check(spec: RunSpec, project: pathlib.Path, schema: str) -> None:
    """Refuses to run a node with other code or packages than its run was frozen with.

    Raises:
      SpecMismatch: saying which of the two differs.
    """
    if code_digest(project, spec.pipeline, schema) != spec.code.digest:
        now = code(project, spec.pipeline, schema)
        raise SpecMismatch(
            f"the code has changed since run {spec.run} was frozen: then {spec.code.digest[:19]} "
            f"(commit {spec.code.commit[:12] or 'none'}), now {now.digest[:19]} (commit {now.commit[:12] or 'none'}). "
            "Clear the run from run_spec to freeze it anew with today's code, or put the old code back"
        )
    installed = environment(project)
    if installed.digest != spec.environment.digest:
        raise SpecMismatch(
            f"the environment has changed since run {spec.run} was frozen: then {spec.environment.digest[:19]}, "
            f"now {installed.digest[:19]}. Clear the run from run_spec to freeze it anew, or install the old lock"
        )


def _git(project: pathlib.Path, *arguments: str) -> str:
    """What git says, or nothing where there is no repository."""
    try:
        done = subprocess.run(["git", "-C", str(project), *arguments], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
