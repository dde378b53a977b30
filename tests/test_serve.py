"""`waybill serve`: what it teaches, what it refuses to load and to listen to, and that it leaves the base path as it is."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import socket
from collections.abc import Iterator

import pytest
import tensorflow as tf
from serving_models import save_half
from serving_target import Target, apart, served

from waybill.cli import main as command
from waybill.server.checks import check
from waybill.server.errors import RequestError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return save_half(tmp_path_factory.mktemp("whole") / "1")


def reason(folder: pathlib.Path) -> str:
    with pytest.raises(RequestError) as caught:
        check(folder)
    assert caught.value.code == "FAILED_PRECONDITION"
    return caught.value.message


def copied(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_whole_model_is_loaded(whole: pathlib.Path) -> None:
    check(whole)


def test_a_model_without_the_index_of_its_variables_is_not_loaded(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(whole, tmp_path)
    (folder / "variables" / "variables.index").unlink()
    assert "no variables/variables.index" in reason(folder)
    shutil.rmtree(folder / "variables")
    assert "no variables/variables.index" in reason(folder)


def test_a_model_without_variables_is_loaded(tmp_path: pathlib.Path) -> None:
    model = tf.Module()
    spec = tf.TensorSpec([None], tf.float32, name="x")
    tf.saved_model.save(model, str(tmp_path / "1"), {"serving_default": tf.function(lambda x: {"y": x}, input_signature=[spec])})
    shutil.rmtree(tmp_path / "1" / "variables", ignore_errors=True)
    check(tmp_path / "1")


def test_a_model_whose_weights_are_no_numbers_is_not_loaded(tmp_path: pathlib.Path) -> None:
    assert "NaN or infinity: b/" in reason(save_half(tmp_path / "1", float("nan")))


def test_a_model_that_writes_files_is_not_loaded(tmp_path: pathlib.Path) -> None:
    def write(path):
        tf.io.write_file(path, "written")
        return {"said": path}

    function = tf.function(write, input_signature=[tf.TensorSpec([], tf.string, name="path")])
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), {"serving_default": function})
    assert "WriteFile" in reason(tmp_path / "1")


def test_a_model_that_leads_elsewhere_is_not_loaded(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(whole, tmp_path)
    (folder / "assets" / "link").symlink_to("/etc/hostname")
    assert "no plain file: assets/link" in reason(folder)


@contextlib.contextmanager
def serving(whole: pathlib.Path, tmp_path: pathlib.Path, *options: str) -> Iterator[Target]:
    base = tmp_path / "base"
    shutil.copytree(whole, base / "1")
    with served(base, "--model", f"half={base}", "--poll-seconds", "0.1", "--load-retries", "0", *options) as target:
        target.answering("half", 1)
        yield target


def listing(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_a_refused_version_says_why_and_the_old_one_answers(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with serving(whole, tmp_path) as target:
        broken = copied(whole, tmp_path)
        (broken / "variables" / "variables.index").unlink()
        broken.rename(target.models / "2")
        target.until("half", lambda states: states == {1: "AVAILABLE", 2: "END"})
        error = json.loads(target.ask("GET", "/v1/models/half/versions/2")[2])["model_version_status"][0]["status"]
        assert error["error_code"] == "FAILED_PRECONDITION" and "variables.index" in error["error_message"]
        assert target.ask("POST", "/v1/models/half:predict", {"instances": [1.0]})[0] == 200


def test_nothing_is_written_under_the_base_path_and_a_large_body_is_refused(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with serving(whole, tmp_path, "--max-body", "1", "--no-monitoring", "--grpc-socket-path", str(tmp_path / "grpc.sock")) as target:
        before = listing(target.models)
        for path in ("/v1/models/half:predict", "/v1/models/half:regress", "/v1/models/half"):
            target.ask("POST", path, {"instances": [1.0]})
        status, _, body = target.ask("POST", "/v1/models/half:predict", {"instances": ["x" * (1 << 20)]})
        assert status == 413 and "at most 1048576 are taken" in json.loads(body)["error"]
        assert target.ask("GET", "/monitoring/prometheus/metrics")[0] == 404
        over_socket = Target(target.rest, f"unix:{tmp_path / 'grpc.sock'}", target.models)
        assert over_socket.states("half") == {1: "AVAILABLE"}
        over_socket.channel.close()
        assert listing(target.models) == before


def test_only_this_machine_is_listened_to(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with serving(whole, tmp_path) as target:
        ports = {f"{int(address.rsplit(':', 1)[1]):04X}" for address in (target.rest, target.grpc_address)}
        listening = [
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[1].rsplit(":", 1)[1] in ports
        ]
        assert len(listening) == 2 and all(address.split(":")[0].endswith("0100007F") for address in listening), (
            "127.0.0.1, or the same mapped to IPv6"
        )


def test_a_bad_configuration_at_the_start_ends_it(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models.config").write_text("nonsense {")
    with keeping_signals():
        assert command.main(["serve", "--models-config", str(tmp_path / "models.config"), "--rest-port", "0", "--grpc-port", "0"]) == 1
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in capsys.readouterr().err


def test_a_process_of_its_own_ends_when_it_is_told_to(whole: pathlib.Path) -> None:
    with apart(whole, "--model", f"half={whole.parent}") as target:
        target.answering("half", 1)
    assert target.log[-1].endswith("half 1 is unloaded\n"), "and with status 0, or this would have raised"


def test_a_configuration_is_followed_and_a_bad_one_leaves_the_one_before(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def write(name: str) -> None:
        text = f'model_config_list {{ config {{ name: "{name}" base_path: "{whole.parent}" model_platform: "tensorflow" }} }}'
        (tmp_path / ".part").write_text(text if name else "nonsense {")
        os.replace(tmp_path / ".part", tmp_path / "models.config")

    write("one")
    with served(tmp_path, "--models-config", str(tmp_path / "models.config"), "--poll-seconds", "0.1") as target:
        target.answering("one", 1)
        write("")
        write("other")
        target.answering("other", 1)
        target.until("one", lambda states: states == {1: "END"})
        write("")
        target.until("other", lambda states: any("is not accepted" in line for line in target.log))
        assert target.states("other") == {1: "AVAILABLE"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "taxi"], "expected a name and the folder of its versions"),
        (["--model", "a=b", "--model", "a=c"], "names 'a' twice"),
        (["--model", "a=b", "--models-config", "x"], "give one of them"),
        (["--models-config", "/does/not/exist"], "there is no '/does/not/exist'"),
    ],
)
def test_words_that_do_not_fit(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with keeping_signals():
        assert command.main(["serve", *words]) == 1
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, keeping_signals():
        port = str(taken.getsockname()[1])
        assert command.main(["serve", "--model", f"a={tmp_path}", "--rest-port", port, "--grpc-port", "0"]) == 1
    assert "--rest-port 0 takes any free port" in capsys.readouterr().err


@contextlib.contextmanager
def keeping_signals() -> Iterator[None]:
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_help_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["serve", "--help"])
    said = capsys.readouterr().out
    assert "for laptops and tests" in said and "Production runs TensorFlow Serving" in said and "no login" in said
