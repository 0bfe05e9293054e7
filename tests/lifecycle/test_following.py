"""--watch and --poll: the folder is followed, complete versions only, and never into a hole."""

import shutil
import threading

import grpc
import pytest

from tests.exchange import exchange
from tests.lifecycle.conftest import SteadyTraffic, constant_model, put

MODES = {"watch": ["--watch"], "poll": ["--poll", "0.2"]}
SETTLE_SECONDS = 0.3


@pytest.fixture
def follow(start_server, repository):
    """A function `(mode) -> server` that follows the repository."""
    settle = ("--settle-seconds", SETTLE_SECONDS)
    return lambda mode: start_server(repository, *MODES[mode], *settle)


@pytest.fixture
def following(follow):
    """A server that follows the repository as most do."""
    return follow("watch")


@pytest.mark.parametrize("mode", MODES)
def test_new_version_is_served_when_it_is_complete(follow, operator_of, repository, mode):
    operator = operator_of(follow(mode))
    put(repository, "m", 2, constant_model(2))
    operator.wait_until(lambda: operator.version() == 2)
    assert operator.states() == {1: "READY", 2: "READY"}


def test_new_model_is_served_and_gone_model_is_unknown(following, operator_of, repository):
    operator = operator_of(following)
    put(repository, "other", 1, constant_model(1))
    operator.wait_until(lambda: "other" in names(operator) and operator.serving("other") == [1])
    assert operator.version("other") == 1
    shutil.rmtree(repository / "other")
    operator.wait_until(lambda: "other" not in names(operator))
    with pytest.raises(grpc.RpcError, match="unknown model: 'other' is not found"):
        operator.version("other")


def test_slow_copy_is_not_loaded_before_it_is_whole(following, operator_of, repository):
    operator = operator_of(following)
    data = constant_model(2, weight_bytes=400_000)
    folder = repository / "m" / "2"
    folder.mkdir()
    pause = threading.Event()
    with (folder / "model.onnx").open("wb") as file:
        for start in range(0, len(data), len(data) // 8):
            file.write(data[start : start + len(data) // 8])
            file.flush()
            pause.wait(SETTLE_SECONDS / 3)
            assert operator.version() == 1
    operator.wait_until(lambda: operator.version() == 2)
    failed = [
        record
        for record in following.logs
        if record["event"] == "version state" and record["state"] == "FAILED"
    ]
    assert failed == []


def test_removed_version_leaves_when_another_one_answers_and_stays_when_none_does(
    following, operator_of, repository
):
    operator = operator_of(following)
    put(repository, "m", 2, constant_model(2))
    operator.wait_until(lambda: operator.version() == 2)
    with SteadyTraffic(following, threads=1) as traffic:
        shutil.rmtree(repository / "m" / "2")
        operator.wait_until(lambda: operator.serving() == [1])
        shutil.rmtree(repository / "m" / "1")
        operator.wait_until(lambda: 2 not in operator.states())
        traffic.wait_for(50)
    assert traffic.problems == []
    assert operator.version() == 1


def test_changed_files_and_changed_settings_are_taken_up(following, operator_of, repository):
    operator = operator_of(following)
    (repository / "m" / "model.toml").write_text("[batching]\nmax_rows = 3\n")
    operator.wait_until(lambda: operator.describe().versions[0].max_rows == 3)
    (repository / "m" / "model.toml").write_text("[batching]\nmax_rows = true\n")
    operator.wait_until(lambda: operator.describe().problem != "")
    assert "batching.max_rows" in operator.describe().problem
    assert operator.version() == 1
    (repository / "m" / "model.toml").unlink()
    operator.wait_until(lambda: operator.describe().problem == "")


def test_broken_version_fails_visibly_and_the_old_one_serves(following, operator_of, repository):
    operator = operator_of(following)
    put(repository, "m", 2, b"no model")
    operator.wait_until(lambda: operator.states().get(2) == "FAILED")
    assert operator.version() == 1
    put(repository, "m", 2, constant_model(2))
    operator.wait_until(lambda: operator.version() == 2)


def test_operators_way_back_holds_against_the_folder(following, operator_of, repository):
    operator = operator_of(following)
    put(repository, "m", 2, constant_model(2))
    operator.wait_until(lambda: operator.version() == 2)
    operator.load("m", 1)
    put(repository, "other", 1, constant_model(1))
    operator.wait_until(
        lambda: operator.serving("other") == [1] if "other" in names(operator) else 0
    )
    assert operator.version() == 1
    put(repository, "m", 3, constant_model(3))
    operator.wait_until(lambda: operator.version() == 3)


def test_triton_clients_may_not_load_where_the_folder_is_followed(following, operator_of):
    from fastserve._proto import open_inference_grpc_pb2 as pb

    operator = operator_of(following)
    with pytest.raises(grpc.RpcError, match="not allowed if polling is enabled") as refused:
        operator.inference.RepositoryModelLoad(
            pb.RepositoryModelLoadRequest(model_name="m"), timeout=30
        )
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def names(operator):
    from fastserve._proto import fastserve_control_pb2 as pb

    listed = operator.control.ListModels(pb.ListModelsRequest(), timeout=30)
    return {model.name for model in listed.models}


def test_folder_that_led_outside_for_a_moment_is_followed_on(
    following, operator_of, repository, tmp_path
):
    """A load that fails before its folder could be looked at says nothing of the folder."""
    operator = operator_of(following)
    link = repository / "m" / ".link"
    link.symlink_to(put(tmp_path / "outside", "m", 1, constant_model(1)))
    exchange(repository / "m" / "1", link)
    with pytest.raises(grpc.RpcError, match="leads out of the repository"):
        operator.reload()
    exchange(repository / "m" / "1", link)
    (before,) = operator.describe().versions
    assert before.reason.startswith("answers with the files that it was loaded from; m/1: leads")
    put(repository, "m", 1, constant_model(1, weight_bytes=4000))
    operator.wait_until(
        lambda: operator.describe().versions[0].lineage.digest != before.lineage.digest
    )
    assert operator.describe().versions[0].reason == ""
