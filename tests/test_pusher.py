"""The pusher: what is released is what both gates and TFMA found good, byte for byte, whatever colour the tasks had."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest
import tensorflow as tf
from installed import installed, let_pass
from tfx.types import standard_artifacts

from components.pusher import ReleasePusherExecutor
from components.types import Verdict as VerdictArtifact
from components.types import record
from waybill.gates import model_rules
from waybill.gates import waivers as gate_waivers
from waybill.records import digest
from waybill.records.verdict import Rule, RuleOutcome, Verdict
from waybill.serving import saved_model
from waybill.serving.errors import DigestMismatch, ReleaseRefused, ServingError, VersionTaken
from waybill.store import waivers
from waybill.store.connection import Store

VERSION = 20130401000001
GOOD = Rule("rows.enough", "span 1", RuleOutcome.PASS, "at least 50 rows", "830 rows")
BAD = Rule("metrics.auc", "overall", RuleOutcome.BLOCK, "at least 0.8", "0.5")


@pytest.fixture
def inputs(tmp_path):
    """A small real model that everybody found good."""
    model = _artifact(standard_artifacts.Model, tmp_path / "model")
    _export(tmp_path / "model/Format-Serving")
    blessing = _artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing/BLESSED").touch()
    judged = model_rules.digest_rule(digest.of_tree(tmp_path / "model/Format-Serving"))
    return {
        "model": [model],
        "blessing": [blessing],
        "data_verdict": [_verdict(tmp_path / "data", "data_gate", GOOD)],
        "model_verdict": [_verdict(tmp_path / "judged", "model_gate", GOOD, judged)],
    }


def test_good_model_is_released_and_answers_as_before(inputs, tmp_path):
    pushed = _push(inputs, tmp_path)
    release = tmp_path / "releases" / str(VERSION)
    row = {"fare": 12.5, "payment_type": "Cash"}
    scores = saved_model.load(pathlib.Path(inputs["model"][0].uri, "Format-Serving")).score_rows([row])
    assert saved_model.load(release).score_rows([row]) == scores
    assert pushed.get_string_custom_property("pushed_destination") == str(release)
    assert pushed.get_string_custom_property("pushed_version") == str(VERSION)
    assert pushed.get_string_custom_property("release_digest") == digest.of_tree(release)
    receipt = json.loads(pathlib.Path(pushed.uri, "release.json").read_text())
    assert receipt == {"name": "taxi", "version": VERSION, "digest": digest.of_tree(release)}


def test_pushing_again_changes_nothing(inputs, tmp_path):
    first = _push(inputs, tmp_path)
    again = _push(inputs, tmp_path)
    assert again.mlmd_artifact.custom_properties == first.mlmd_artifact.custom_properties
    assert [p.name for p in (tmp_path / "releases").iterdir() if p.name.isdigit()] == [str(VERSION)]


@pytest.mark.parametrize("key", ["data_verdict", "model_verdict"])
def test_blocked_verdict_releases_nothing_and_is_quoted(inputs, tmp_path, key):
    gate = key.replace("verdict", "gate")
    inputs[key] = [_verdict(tmp_path / "blocked", gate, BAD)]
    assert "metrics.auc on overall: expected at least 0.8, found 0.5" in _refused(inputs, tmp_path)


def test_property_that_says_pass_does_not_outweigh_a_file_that_says_blocked(inputs, tmp_path):
    inputs["data_verdict"] = [_verdict(tmp_path / "blocked", "data_gate", BAD)]
    inputs["data_verdict"][0].decision = "PASS"
    assert "data_gate: BLOCKED" in _refused(inputs, tmp_path)


def test_decision_edited_in_the_file_does_not_outweigh_its_rules(inputs, tmp_path):
    inputs["data_verdict"] = [_verdict(tmp_path / "blocked", "data_gate", BAD)]
    path = tmp_path / "blocked/verdict.json"
    path.write_text(path.read_text().replace("BLOCKED", "PASS"))
    assert "its own rules say BLOCKED" in _refused(inputs, tmp_path)


def test_missing_damaged_and_swapped_verdicts_are_refused(inputs, tmp_path):
    pathlib.Path(inputs["data_verdict"][0].uri, "verdict.json").unlink()
    assert "cannot read the verdict of data_gate" in _refused(inputs, tmp_path)
    pathlib.Path(inputs["data_verdict"][0].uri, "verdict.json").write_text('{"gate": "data_gate"')
    assert "is damaged" in _refused(inputs, tmp_path)
    inputs["data_verdict"] = inputs["model_verdict"]
    assert "is the verdict of model_gate, expected that of data_gate" in _refused(inputs, tmp_path)


@pytest.mark.parametrize("marks", [[], ["NOT_BLESSED"], ["BLESSED", "NOT_BLESSED"]])
def test_model_without_a_clear_blessing_is_refused(inputs, tmp_path, marks):
    folder = pathlib.Path(inputs["blessing"][0].uri)
    (folder / "BLESSED").unlink()
    for mark in marks:
        (folder / mark).touch()
    reason = _refused(inputs, tmp_path)
    assert "did not bless" in reason or "expected BLESSED or NOT_BLESSED" in reason


def test_model_that_was_let_pass_is_released_while_its_waivers_hold(inputs, tmp_path):
    with installed(tmp_path) as store:
        _let_pass(inputs, tmp_path, store, BAD)
        inputs["blessing"][0].uri = str(tmp_path / "withheld")
        (tmp_path / "withheld").mkdir()
        (tmp_path / "withheld/NOT_BLESSED").touch()
        assert _push(inputs, tmp_path).get_string_custom_property("pushed_version") == str(VERSION)


def test_model_whose_waiver_was_withdrawn_is_not_released(inputs, tmp_path):
    with installed(tmp_path) as store:
        _let_pass(inputs, tmp_path, store, BAD)
        waivers.write(store, waivers.read(store, "taxi"), waivers.WITHDRAWAL, 1, {"who": "os:eve", "why": "it was a fault"})
        assert "withdrawn by os:eve: it was a fault" in _refused(inputs, tmp_path)


def test_blessing_withheld_for_what_nobody_waived_is_not_overlooked(inputs, tmp_path):
    with installed(tmp_path) as store:
        _let_pass(inputs, tmp_path, store, dataclasses.replace(BAD, name="slices.auc"))
        (tmp_path / "blessing/BLESSED").rename(tmp_path / "blessing/NOT_BLESSED")
        assert "did not bless" in _refused(inputs, tmp_path)


def test_verdict_that_names_waivers_is_not_believed_where_there_is_no_journal(inputs, tmp_path):
    with installed(tmp_path) as store:
        _let_pass(inputs, tmp_path, store, BAD)
    assert "model_gate names waivers, and without Waybill's launcher there are none" in _refused(inputs, tmp_path)


def test_every_reason_is_named_at_once(inputs, tmp_path):
    for key in ("data_verdict", "model_verdict"):
        pathlib.Path(inputs[key][0].uri, "verdict.json").unlink()
    pathlib.Path(inputs["blessing"][0].uri, "BLESSED").unlink()
    assert _refused(inputs, tmp_path).count("\n  - ") == 3


def test_model_that_changed_after_it_was_judged_is_not_released(inputs, tmp_path):
    with open(pathlib.Path(inputs["model"][0].uri, "Format-Serving/saved_model.pb"), "ab") as handle:
        handle.write(b"\x00")
    with pytest.raises(DigestMismatch):
        _push(inputs, tmp_path)
    assert not list((tmp_path / "releases").glob("2*"))


def test_verdict_that_names_no_model_is_refused(inputs, tmp_path):
    inputs["model_verdict"] = [_verdict(tmp_path / "other", "model_gate", GOOD)]
    assert "names no model" in _refused(inputs, tmp_path)


def test_version_of_another_release_is_not_taken_over(inputs, tmp_path):
    (tmp_path / "releases" / str(VERSION)).mkdir(parents=True)
    with pytest.raises(VersionTaken):
        _push(inputs, tmp_path)


def test_released_model_scores_the_same_through_both_signatures(inputs, tmp_path):
    _push(inputs, tmp_path)
    loaded = saved_model.load(tmp_path / "releases" / str(VERSION))
    assert loaded.score_rows([{"fare": 12.5, "payment_type": "Cash"}]) == loaded.score_examples([_example(12.5, b"Cash")])
    assert loaded.score_rows([{"fare": 12.5}]) == loaded.score_rows([{"fare": 12.5, "payment_type": ""}])


def test_half_a_model_is_not_loaded(inputs, tmp_path):
    exported = pathlib.Path(inputs["model"][0].uri, "Format-Serving")
    (exported / "variables/variables.index").unlink()
    with pytest.raises(ServingError, match="cannot load the model at"):
        saved_model.load(exported)


def _push(inputs: dict[str, list], tmp_path: pathlib.Path):
    pushed = _artifact(standard_artifacts.PushedModel, tmp_path / "pushed")
    properties = {"version": VERSION, "releases": str(tmp_path / "releases"), "model_name": "taxi"}
    ReleasePusherExecutor().Do(inputs, {"pushed_model": [pushed]}, properties)
    return pushed


def _refused(inputs: dict[str, list], tmp_path: pathlib.Path) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        _push(inputs, tmp_path)
    assert not (tmp_path / "releases").exists()
    return str(caught.value)


def _let_pass(inputs: dict[str, list], folder: pathlib.Path, store: Store, bad: Rule) -> None:
    """Two people let a rule of the model gate pass, whose verdict the pusher is then given."""
    let_pass(store, "model_gate", bad.name, bad.subject)
    judged = model_rules.digest_rule(digest.of_tree(folder / "model/Format-Serving"))
    agreement = Rule("evaluator.blessing", "the model", RuleOutcome.WARN, "BLESSED, as the thresholds say", "NOT_BLESSED")
    inputs["model_verdict"] = [_artifact(VerdictArtifact, folder / "waived")]
    record(gate_waivers.judge("model_gate", [GOOD, judged, bad, agreement]), inputs["model_verdict"][0])
    assert inputs["model_verdict"][0].decision == "WAIVED"


def _verdict(folder: pathlib.Path, gate: str, *rules: Rule):
    artifact = _artifact(VerdictArtifact, folder)
    record(Verdict.judge(gate, rules), artifact)
    return artifact


def _artifact(kind: type, folder: pathlib.Path):
    artifact = kind()
    artifact.uri = str(folder)
    return artifact


def _export(folder: pathlib.Path) -> None:
    module = tf.Module()
    module.slope = tf.Variable(0.1)
    spec = {"fare": tf.io.FixedLenFeature([1], tf.float32), "payment_type": tf.io.FixedLenFeature([1], tf.string, "")}

    def score(fare, payment_type):
        return {"score": tf.sigmoid(module.slope * fare - tf.cast(tf.strings.length(payment_type), tf.float32))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def from_examples(examples):
        return score(**tf.io.parse_example(examples, spec))

    columns = {name: tf.TensorSpec([None, 1], feature.dtype, name=name) for name, feature in spec.items()}
    signatures = {"serving_default": from_examples, "raw": tf.function(score).get_concrete_function(**columns)}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _example(fare: float, payment_type: bytes) -> bytes:
    features = {
        "fare": tf.train.Feature(float_list=tf.train.FloatList(value=[fare])),
        "payment_type": tf.train.Feature(bytes_list=tf.train.BytesList(value=[payment_type])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
