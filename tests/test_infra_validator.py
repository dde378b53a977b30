"""The infra validator: what a server could not load, or would answer otherwise than the trained model, is not released and says why."""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from harness import apart
from installed import installed, let_pass
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tfx.components.util import model_utils
from tfx.types import standard_artifacts
from trained_taxi import example

from components.infra_validator import InfraValidatorExecutor
from components.types import Verdict as VerdictArtifact
from pipelines.taxi.policy import INFRA_POLICY
from waybill.cli.load import graph_of
from waybill.gates import infra_rules
from waybill.gates.errors import EvidenceError, PolicyError
from waybill.gates.infra_evidence import Trial
from waybill.gates.infra_policy import InfraPolicy
from waybill.launch.errors import DamagedRecords
from waybill.launch.standby import fork
from waybill.records import verdict_file
from waybill.records.live_scores import LiveScores
from waybill.records.verdict import Decision, Rule, RuleOutcome, Verdict
from waybill.serving import apart as own_process
from waybill.serving import golden
from waybill.serving.errors import CannotFork
from waybill.serving.warmup import FILE
from waybill.serving.watch import Ended, Limits
from waybill.training import network

ROWS = 40
PATIENT = Limits(60, 4 << 30)


@dataclasses.dataclass(frozen=True)
class Exported:
    """What the stop is given: folders of artifacts."""

    model: pathlib.Path
    run: pathlib.Path | None
    examples: tuple[pathlib.Path, ...]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny model with both signatures that nothing is wrong with, and its scores as one works them out; the tests spoil copies."""
    folder = tmp_path_factory.mktemp("small")
    apart(lambda: export(folder / "model/Format-Serving"))
    apart(lambda: write_rows(folder / "examples/Split-eval", range(ROWS)))
    (folder / "run").mkdir()
    LiveScores(ROWS, (tuple(sorted(map(expected_score, range(ROWS)))),)).write(folder / "run")
    return Exported(folder / "model", folder / "run", (folder / "examples",))


@pytest.fixture
def quiet_crashes() -> Iterator[None]:
    """Keeps pytest from writing a page about each process that is meant to crash."""
    faulthandler.disable()
    yield
    faulthandler.enable(sys.__stderr__)


# A good model.


def test_a_model_that_answers_as_it_was_trained_is_blessed_and_every_look_is_on_record(small, tmp_path):
    verdict = judged(small, tmp_path, INFRA_POLICY)

    assert verdict.decision is Decision.PASS
    looked_at = {
        "infra": {"files", "operations", "warmup", "process", "network", "variables", "finite", "agree", "vary", "trained"},
        "size": {"files", "bytes"},
        "latency": {"load_cpp", "load_python", "single", "batch"},
        "model": {"digest"},
    }
    assert {r.name for r in verdict.rules} == {f"{what}.{name}" for what, names in looked_at.items() for name in names}
    assert {r.subject for r in verdict.rules if r.name == "infra.finite"} == {
        "C++ loader, serving_default",
        "C++ loader, raw",
        "C++ loader, serving_default, one by one",
        "Python loader, serving_default",
        "Python loader, raw",
    }
    [compared] = rules(verdict, "infra.trained")
    assert f"{ROWS} rows" in compared.subject and "largest difference" in compared.found


def test_the_blessing_is_the_one_that_tfx_reads(small, tmp_path):
    for name, policy, good in (("yes", InfraPolicy(), True), ("no", InfraPolicy(max_files=1), False)):
        blessing = standard_artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / name / "blessing")
        run(small, tmp_path / name, policy, blessing)
        assert model_utils.is_infra_validated(blessing) is good
        assert [p.name for p in (tmp_path / name / "blessing").iterdir()] == ["INFRA_BLESSED" if good else "INFRA_NOT_BLESSED"]


def test_no_gate_after_it_is_passed_without_it():
    graph = graph_of("taxi")
    assert graph.node("infra_validator").gate
    assert graph.gates_before("model_gate") == ("data_gate", "infra_validator")
    assert graph.gates_before("pusher") == ("data_gate", "infra_validator", "model_gate")


# The same model as the one that was trained.


def test_another_model_than_the_trained_one_is_blocked(small, tmp_path):
    moved = sorted(map(expected_score, range(ROWS)))
    moved[20] += 0.001
    LiveScores(ROWS, (tuple(moved),)).write(tmp_path)

    verdict = judged(dataclasses.replace(small, run=tmp_path), tmp_path)

    assert blocks(verdict) == ["infra.trained"]
    assert rules(verdict, "infra.trained")[0].found == "a largest difference of 0.001"


@pytest.mark.parametrize(("order", "blocked"), [((0, 1), []), ((1, 0), ["infra.trained"])])
def test_a_score_for_each_class_is_compared_class_by_class(small, tmp_path, order, blocked):
    apart(lambda: export(tmp_path / "model/Format-Serving", "two classes"))
    scores = [expected_score(number) for number in range(ROWS)]
    by_class = (tuple(sorted(scores)), tuple(sorted(1 - score for score in scores)))
    LiveScores(ROWS, tuple(by_class[place] for place in order)).write(tmp_path)

    verdict = judged(Exported(tmp_path / "model", tmp_path, small.examples), tmp_path)

    assert blocks(verdict) == blocked


@pytest.mark.parametrize(("output", "blocked"), [("", ["infra.process"]), ("other", ["infra.process"]), ("score", [])])
def test_of_several_outputs_the_policy_says_which_holds_the_scores(small, tmp_path, output, blocked):
    apart(lambda: export(tmp_path / "model/Format-Serving", "two outputs"))

    verdict = judged(dataclasses.replace(small, model=tmp_path / "model"), tmp_path, InfraPolicy(output=output))

    assert blocks(verdict) == blocked
    if blocked:
        assert "again, score" in rules(verdict, "infra.process")[0].found


def test_scores_of_other_rows_are_no_evidence(small, tmp_path):
    LiveScores(ROWS - 1, (tuple(sorted(map(expected_score, range(1, ROWS)))),)).write(tmp_path)

    verdict = judged(dataclasses.replace(small, run=tmp_path), tmp_path)

    assert blocks(verdict) == ["infra.trained"]
    assert rules(verdict, "infra.trained")[0].found == f"{ROWS} rows; the trainer had {ROWS - 1}"


@pytest.mark.parametrize(
    ("live", "says"), [(None, "the trainer left none"), (LiveScores(ROWS, None), "more than the 100000 that are compared")]
)
def test_without_scores_of_the_trained_model_the_verdict_says_that_nothing_was_compared(small, tmp_path, live, says):
    if live:
        live.write(tmp_path)

    verdict = judged(dataclasses.replace(small, run=tmp_path if live else None), tmp_path)

    assert verdict.decision is Decision.PASS
    [rule] = rules(verdict, "infra.trained")
    assert rule.outcome is RuleOutcome.NOT_JUDGED and says in rule.found


def test_a_trainer_that_saw_another_number_of_rows_blocks_though_it_kept_no_scores(small, tmp_path):
    LiveScores(10**6, None).write(tmp_path)

    assert blocks(judged(dataclasses.replace(small, run=tmp_path), tmp_path)) == ["infra.trained"]


def test_live_scores_survive_their_file_and_damage_is_noticed(tmp_path):
    assert LiveScores.read(tmp_path) is None
    for scores in (LiveScores(2, ((0.1, 0.25),)), LiveScores(2, ((0.1, 0.25), (0.75, 0.9))), LiveScores(10**6, None)):
        scores.write(tmp_path)
        assert LiveScores.read(tmp_path) == scores
    for damaged in ('{"rows": 2}', '{"rows": 2, "scores": [0.1, 0.25]}'):
        (tmp_path / "live_scores.json").write_text(damaged)
        with pytest.raises(ValueError, match="run trainer again"):
            LiveScores.read(tmp_path)


# Models that are not whole, or answer nonsense.


@pytest.mark.parametrize("missing", ["variables", "variables/variables.index"])
def test_a_model_without_its_variables_is_loaded_by_the_cpp_loader_and_blocked_all_the_same(small, tmp_path, missing):
    def lose(model: pathlib.Path) -> None:
        path = model / missing
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    verdict = judged(spoilt(small, tmp_path, lose), tmp_path)

    assert blocks(verdict) == ["infra.process"]
    assert rules(verdict, "latency.load_cpp")[0].outcome is RuleOutcome.PASS
    assert "failed while it asks serving_default in the C++ runtime" in rules(verdict, "infra.process")[0].found


def test_a_flipped_byte_in_the_variables_is_blocked(small, tmp_path):
    def flip(model: pathlib.Path) -> None:
        path = model / "variables/variables.data-00000-of-00001"
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)

    assert "DATA_LOSS" in rules(judged(spoilt(small, tmp_path, flip), tmp_path), "infra.process")[0].found


def test_a_cut_off_graph_is_blocked_and_nothing_is_run(small, tmp_path):
    def cut(model: pathlib.Path) -> None:
        os.truncate(model / "saved_model.pb", (model / "saved_model.pb").stat().st_size // 2)

    verdict = judged(spoilt(small, tmp_path, cut), tmp_path)

    assert blocks(verdict) == ["infra.operations"]
    assert rules(verdict, "infra.process")[0].outcome is RuleOutcome.NOT_JUDGED


@pytest.mark.parametrize(
    ("kind", "blocked"),
    [
        ("nan", {"infra.finite", "infra.agree", "infra.vary", "infra.trained", "infra.variables"}),
        ("constant", {"infra.vary", "infra.trained"}),
        ("raw differs", {"infra.agree"}),
        ("batch matters", {"infra.agree"}),
        ("no raw", {"infra.process"}),
        ("one score", {"infra.process"}),
    ],
)
def test_a_model_that_answers_nonsense_is_blocked(small, tmp_path, kind, blocked):
    apart(lambda: export(tmp_path / "model/Format-Serving", kind))

    verdict = judged(dataclasses.replace(small, model=tmp_path / "model"), tmp_path)

    assert set(blocks(verdict)) == blocked
    if kind == "no raw":
        assert "the model has no signature 'raw'" in rules(verdict, "infra.process")[0].found


def test_a_constant_score_is_good_where_the_trained_model_gives_it_too(small, tmp_path):
    apart(lambda: export(tmp_path / "model/Format-Serving", "constant"))
    (tmp_path / "run").mkdir()
    LiveScores(ROWS, ((0.5,) * ROWS,)).write(tmp_path / "run")

    verdict = judged(Exported(tmp_path / "model", tmp_path / "run", small.examples), tmp_path)

    assert verdict.decision is Decision.PASS


# Models that harm who runs them.


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("hangs", "was not through after 4 s and was ended while it asks serving_default"),
        ("eats memory", "MiB of memory, of 400 allowed, and was ended while it asks serving_default"),
        ("exits", "ended by itself, with exit status 0, while it asks serving_default"),
        ("aborts", "was killed by SIGABRT while it asks serving_default"),
    ],
)
def test_a_model_that_ends_or_holds_up_its_process_is_an_outcome_and_no_error(small, tmp_path, quiet_crashes, kind, says):
    apart(lambda: export(tmp_path / "model/Format-Serving", kind))
    policy = InfraPolicy(max_trial_seconds=4 if kind == "hangs" else 60, max_trial_memory=400 << 20, allowed_ops=("Abort",))

    verdict = judged(dataclasses.replace(small, model=tmp_path / "model"), tmp_path, policy)

    assert blocks(verdict) == ["infra.process"]
    [rule] = rules(verdict, "infra.process")
    assert says in rule.found
    if kind == "aborts":
        assert any("the end of it" in line for line in rule.evidence), "its last words are no evidence"


def test_a_model_that_may_write_files_is_blocked_before_it_is_run(small, tmp_path):
    apart(lambda: export(tmp_path / "model/Format-Serving", f"writes {tmp_path}/written"))
    given = dataclasses.replace(small, model=tmp_path / "model")

    verdict = judged(given, tmp_path)

    assert blocks(verdict) == ["infra.operations"]
    assert rules(verdict, "infra.operations")[0].evidence[0].startswith("WriteFile")
    assert not (tmp_path / "written").exists()
    assert judged(given, tmp_path / "again", InfraPolicy(allowed_ops=("WriteFile",))).decision is Decision.PASS
    assert (tmp_path / "written").read_text() == "written"  # so it would have been


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_what_is_no_plain_file_is_not_followed(small, tmp_path, kind):
    def spoil(model: pathlib.Path) -> None:
        if kind == "a link":
            (model / "assets/words").symlink_to("/etc/passwd")
        else:
            os.mkfifo(model / "assets/words")

    verdict = judged(spoilt(small, tmp_path, spoil), tmp_path)

    assert "infra.files" in blocks(verdict)
    assert rules(verdict, "infra.files")[0].evidence == ("assets/words",)
    assert rules(verdict, "infra.process")[0].outcome is RuleOutcome.NOT_JUDGED


@pytest.mark.parametrize(
    ("policy", "blocked"),
    [
        (InfraPolicy(max_bytes=1000), ["size.bytes"]),
        (InfraPolicy(max_files=2), ["size.files"]),
        (InfraPolicy(max_load_seconds=1e-6), ["latency.load_cpp", "latency.load_python"]),
        (InfraPolicy(max_single_seconds=1e-9), ["latency.single"]),
        (InfraPolicy(max_batch_seconds=1e-9), ["latency.batch"]),
    ],
)
def test_each_limit_of_the_policy_blocks_what_is_above_it(small, tmp_path, policy, blocked):
    verdict = judged(small, tmp_path, policy)

    assert blocks(verdict) == blocked
    assert rules(verdict, "infra.process")[0].outcome is RuleOutcome.PASS, "it is tried all the same"


def test_a_model_that_two_people_let_pass_although_it_is_slow_is_blessed(small, tmp_path):
    def judged_with_a_waiver() -> Verdict:
        with installed(tmp_path) as store:
            let_pass(store, "infra_validator", "latency.single", subject="")
            return judged(small, tmp_path, InfraPolicy(max_single_seconds=1e-9))

    verdict = apart(judged_with_a_waiver)  # a store is opened, and this process forks later on

    assert verdict.decision is Decision.WAIVED
    assert [rule.name for rule in verdict.waived()] == ["latency.single"]
    assert (tmp_path / "blessing/INFRA_BLESSED").is_file()


# The process in which a model is tried.


def test_a_process_that_crashes_exits_or_never_ends_is_told_apart_and_what_it_had_found_is_kept(quiet_crashes):
    ends = {
        "was killed by SIGSEGV while it does the rest": lambda: ctypes.string_at(0),
        "ended by itself, with exit status 7, while it does the rest": lambda: os._exit(7),
        "was not through after 2 s and was ended while it does the rest": lambda: time.sleep(60),
        "failed while it does the rest: ValueError: nonsense": fail,
    }
    for problem, work in ends.items():
        ended = tried([lambda: "a fact", work], Limits(2, 4 << 30))
        assert (ended.problem, ended.found) == (problem, {"step 0": "a fact"})


def test_a_process_that_eats_memory_is_ended_before_it_has_it_all():
    def eat() -> None:
        held = []
        while len(held) < 40:
            held.append(np.ones(100 << 20, np.uint8))
            time.sleep(0.02)

    ended = tried([eat], Limits(60, 500 << 20))

    assert "of 500 allowed, and was ended" in ended.problem
    assert 500 << 20 < ended.memory < 2000 << 20


def test_a_process_has_no_network_where_the_kernel_allows_it_and_says_so_where_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        reached = tried([lambda: socket.create_connection(address).close()], PATIENT, lambda: "no namespaces here")
        cut_off = tried([lambda: socket.create_connection(address).close()], PATIENT)
    [rule] = [r for r in infra_rules.of_trial(Trial(**came_of(reached)), InfraPolicy(), None, 1) if r.name == "infra.network"]
    assert (reached.problem, rule.outcome, rule.found) == ("", RuleOutcome.NOT_JUDGED, "no namespaces here")
    if cut_off.network:
        pytest.skip(cut_off.network)
    assert "ConnectionRefusedError" in cut_off.problem


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    def hang() -> None:
        (tmp_path / "aside").write_text(str(os.getpid()))
        (tmp_path / "aside").rename(tmp_path / "pid")
        time.sleep(60)

    node = fork(lambda: bool(tried([hang], PATIENT)))
    wait_for((tmp_path / "pid").exists)
    os.kill(node, signal.SIGKILL)
    os.waitpid(node, 0)

    wait_for(lambda: not running(int((tmp_path / "pid").read_text())))


def test_a_process_that_has_run_tensorflow_has_a_fresh_one_try_the_model_since_its_forks_would_hang(small, tmp_path):
    def try_after_an_op() -> Verdict:
        tf.constant(1)
        with pytest.raises(CannotFork, match="has run a TensorFlow op"):
            tried([int], PATIENT)
        return judged(small, tmp_path)

    verdict = apart(try_after_an_op)

    assert verdict.decision is Decision.PASS
    assert rules(verdict, "infra.trained")[0].outcome is RuleOutcome.PASS


# Warm-up requests.


def test_good_warm_up_requests_are_replayed(small, tmp_path):
    logs = [predict(fare=3.5), classify(fare=7.0, payment_type="Cash")] * 2

    def prepare(model: pathlib.Path) -> None:
        apart(lambda: write_warmup(model, logs))
        apart(lambda: give_method(model, "tensorflow/serving/classify"))

    verdict = judged(spoilt(small, tmp_path, prepare), tmp_path)

    assert verdict.decision is Decision.PASS
    assert rules(verdict, "infra.warmup")[0].found == "4"
    assert rules(verdict, "infra.replayed")[0].found == "4 answers"


@pytest.mark.parametrize(
    ("logs", "says"),
    [
        ([b"\xff\xff"], "record 0 is no PredictionLog"),
        ([prediction_log_pb2.PredictionLog(session_run_log={}).SerializeToString()], "record 0 holds session_run_log"),
        (["many"], "more than 1000 requests"),
        (["damaged"], "its checksum does not match"),
        (["classify"], "record 0 asks serving_default, whose method is tensorflow/serving/predict; expected tensorflow/serving/classify"),
    ],
)
def test_warm_up_requests_that_tensorflow_serving_would_not_take_are_blocked(small, tmp_path, logs, says):
    def spoil(model: pathlib.Path) -> None:
        by_name = {"many": lambda: [predict()] * 1001, "damaged": lambda: [predict()], "classify": lambda: [classify(fare=7.0)]}
        apart(lambda: write_warmup(model, by_name[logs[0]]() if logs[0] in by_name else logs))
        if logs == ["damaged"]:
            path = model / FILE
            path.write_bytes(path.read_bytes()[:-5] + b"!" + path.read_bytes()[-4:])

    verdict = judged(spoilt(small, tmp_path, spoil), tmp_path)

    assert blocks(verdict) == ["infra.warmup"]
    assert says in rules(verdict, "infra.warmup")[0].found


def test_a_warm_up_request_that_the_model_does_not_answer_is_blocked(small, tmp_path):
    verdict = judged(spoilt(small, tmp_path, lambda m: apart(lambda: write_warmup(m, [predict("of_yesterday")]))), tmp_path)

    assert blocks(verdict) == ["infra.process"]
    assert "while it replays the warm-up requests" in rules(verdict, "infra.process")[0].found


@pytest.mark.parametrize("how", ["in an example", "in an example of a classification", "as an input"])
def test_a_warm_up_request_with_a_column_that_is_personal_is_blocked(small, tmp_path, how):
    logs = {
        "in an example": predict(fare=1.0, home="12 Elm Street"),
        "in an example of a classification": classify(fare=1.0, home="12 Elm Street"),
        "as an input": predict("raw", raw=True),
    }
    personal = ("payment_type",) if how == "as an input" else ("home", "name")

    def prepare(model: pathlib.Path) -> None:
        apart(lambda: write_warmup(model, [logs[how]]))
        if "classification" in how:
            apart(lambda: give_method(model, "tensorflow/serving/classify"))

    given = spoilt(small, tmp_path, prepare)

    verdict = judged(given, tmp_path, InfraPolicy(personal_columns=personal))
    assert blocks(verdict) == ["warmup.personal"]
    assert rules(verdict, "warmup.personal")[0].found == personal[0]
    assert judged(given, tmp_path / "again").decision is Decision.PASS


# Golden requests, and the policy.


def test_the_same_rows_give_the_same_requests_whatever_files_they_are_in(small, tmp_path):
    apart(lambda: write_rows(tmp_path / "one", range(0, ROWS, 2)))
    apart(lambda: write_rows(tmp_path / "two", range(1, ROWS, 2), packed=False))
    files = [next((tmp_path / name).iterdir()) for name in ("two", "one")]
    whole = golden.draw((small.examples[0] / "Split-eval").iterdir(), 7, ROWS)

    found = golden.draw(files, 7, ROWS - 1)

    assert len(set(whole.requests)) == 7 and found.requests == whole.requests
    assert (found.rows, found.every) == (ROWS, None)
    assert whole.every is not None and len(whole.every) == ROWS


def test_damaged_rows_are_no_rows_to_ask_about(small, tmp_path):
    [whole] = (small.examples[0] / "Split-eval").iterdir()
    (tmp_path / "cut.gz").write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "words").write_text("no records at all")
    for path in (tmp_path / "cut.gz", tmp_path / "words"):
        with pytest.raises(DamagedRecords):
            golden.draw([path], 7, ROWS)


def test_an_eval_split_without_rows_is_no_evidence_for_a_model(small, tmp_path):
    (tmp_path / "examples/Split-eval").mkdir(parents=True)
    with pytest.raises(EvidenceError, match="nothing to ask"):
        judged(dataclasses.replace(small, examples=(tmp_path / "examples",)), tmp_path)


def test_the_policy_survives_its_json_and_refuses_what_it_cannot_mean():
    policy = dataclasses.replace(INFRA_POLICY, allowed_ops=("PrintV2",))
    assert InfraPolicy.from_json(policy.to_json()) == policy
    for text in ("{}", "nonsense", "[]", json.dumps({**json.loads(policy.to_json()), "golden": 1})):
        with pytest.raises(PolicyError):
            InfraPolicy.from_json(text)
    with pytest.raises(PolicyError, match="golden_requests is 0"):
        InfraPolicy(golden_requests=0)


# What the tests are made of.


def run(given: Exported, folder: pathlib.Path, policy: InfraPolicy, blessing: standard_artifacts.InfraBlessing) -> Verdict:
    verdict = VerdictArtifact()
    verdict.uri = str(folder / "verdict")
    inputs = {"model": [artifact(standard_artifacts.Model, given.model)]}
    inputs["examples"] = [artifact(standard_artifacts.Examples, path) for path in given.examples]
    for examples in inputs["examples"]:
        examples.split_names = '["eval"]'
    if given.run:
        inputs["model_run"] = [artifact(standard_artifacts.ModelRun, given.run)]
    InfraValidatorExecutor().Do(inputs, {"verdict": [verdict], "blessing": [blessing]}, {"policy": policy.to_json(), "split": "eval"})
    return verdict_file.read(folder / "verdict", "infra_validator")


def judged(given: Exported, folder: pathlib.Path, policy: InfraPolicy | None = None) -> Verdict:
    return run(given, folder, policy or InfraPolicy(), artifact(standard_artifacts.InfraBlessing, folder / "blessing"))


def expected_score(number: int) -> float:
    """What `export`'s model has to say of a row of `write_rows`."""
    fare, cash = (0.0 if number % 10 == 0 else number), number % 5 != 0 or number % 10 == 0
    return 1 / (1 + math.exp(-0.1 * (fare - 10 + cash)))


def artifact(kind, folder: pathlib.Path):
    made = kind()
    made.uri = str(folder)
    return made


def rules(verdict: Verdict, name: str) -> list[Rule]:
    return [rule for rule in verdict.rules if rule.name == name]


def blocks(verdict: Verdict) -> list[str]:
    return sorted({rule.name for rule in verdict.rules if rule.outcome is RuleOutcome.BLOCK})


def spoilt(given: Exported, folder: pathlib.Path, spoil: Callable[[pathlib.Path], object]) -> Exported:
    shutil.copytree(given.model, folder / "spoilt")
    spoil(folder / "spoilt/Format-Serving")
    return dataclasses.replace(given, model=folder / "spoilt")


def tried(works: list[Callable[[], object]], limits: Limits, leave: Callable[[], str] = network.leave) -> Ended:
    steps = [own_process.Step(f"step {i}", "does the rest" if i else "begins", work) for i, work in enumerate(works)]
    return own_process.run(steps, limits, leave)


def fail() -> None:
    raise ValueError("nonsense")


def came_of(ended: Ended) -> dict[str, object]:
    return {name: value for name, value in vars(ended).items() if name != "found"}


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def write_rows(folder: pathlib.Path, numbers: range, packed: bool = True) -> None:
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / ("rows.gz" if packed else "rows")), "GZIP" if packed else "") as writer:
        for number in numbers:
            columns = {"fare": float(number), "payment_type": "Cash"}
            if number % 5 == 0:
                del columns["payment_type" if number % 10 else "fare"]
            writer.write(example(**columns))


def predict(signature: str = "", raw: bool = False, **columns) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    tensors = {"fare": [[1.0]], "payment_type": [["Cash"]]} if raw else {"examples": [example(**columns)]}
    for name, value in tensors.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def classify(**columns) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.classify_log.request.input.example_list.examples.append(tf.train.Example.FromString(example(**columns)))
    return log.SerializeToString()


def write_warmup(model: pathlib.Path, logs: list[bytes]) -> None:
    (model / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(model / FILE)) as writer:
        for log in logs:
            writer.write(log)


def give_method(folder: pathlib.Path, method: str) -> None:
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    model.meta_graphs[0].signature_def["serving_default"].method_name = method
    (folder / "saved_model.pb").chmod(0o644)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def export(folder: pathlib.Path, kind: str = "") -> None:
    """A model that scores a fare and whether it is paid in cash, in both signatures; or one that something is wrong with."""
    module = tf.Module()
    module.weight = tf.Variable(float("nan") if kind == "nan" else 0.0 if kind == "constant" else 0.1)

    def score(fare: tf.Tensor, cash: tf.Tensor) -> dict[str, tf.Tensor]:
        fare = tf.where(tf.math.is_finite(fare), fare, 0.0)
        answer = tf.sigmoid(module.weight * (fare - 10.0 + tf.cast(cash == "Cash", tf.float32)))
        if kind == "batch matters":
            answer = answer * tf.cast(tf.size(fare), tf.float32) / ROWS
        if kind == "hangs":
            answer = tf.while_loop(lambda x: tf.reduce_sum(x) < 1e9, lambda x: (x * 0.5,), (answer,))[0]
        if kind == "eats memory":
            answer += 0.0 * tf.reduce_sum(tf.random.uniform(tf.stack([tf.size(fare) * 100_000, 1000])))
        if kind in ("exits", "aborts"):
            with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the end of it", exit_without_error=kind == "exits")]):
                answer = tf.identity(answer)
        if kind.startswith("writes "):
            tf.io.write_file(kind.removeprefix("writes "), "written")
        if kind == "two classes":
            answer = tf.concat([answer, 1.0 - answer], axis=1)
        if kind == "two outputs":
            return {"score": answer, "again": answer}
        return {"score": answer[:1] if kind == "one score" else answer}

    columns = {
        "fare": tf.io.FixedLenFeature([1], tf.float32, float("nan")),
        "payment_type": tf.io.FixedLenFeature([1], tf.string, ""),
    }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(examples):
        parsed = tf.io.parse_example(examples, columns)
        return score(parsed["fare"], parsed["payment_type"])

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "fare"), tf.TensorSpec([None, 1], tf.string, "payment_type")])
    def raw(fare, payment_type):
        return {name: numbers + (0.01 if kind == "raw differs" else 0.0) for name, numbers in score(fare, payment_type).items()}

    tf.saved_model.save(module, str(folder), {"serving_default": serving_default, **({} if kind == "no raw" else {"raw": raw})})
    (folder / "assets").mkdir(exist_ok=True)
