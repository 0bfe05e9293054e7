"""`fastserve drift profile` over real models: the file is what the loader reads."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastserve.drift.profile import decode_profile
from fastserve.models.manifest import MANIFEST_FILE, describe_files, encode_manifest
from fastserve.models.pinned import PROFILE_FILE, pin_version
from tests.drift.conftest import FEATURES, SIGNATURE, refusing_model

NAMES = [f"measure {number}" for number in range(FEATURES)]


@pytest.fixture
def folder(repository):
    return repository / "m" / "1"


@pytest.fixture
def rows(normal_rows):
    return normal_rows(3000)


@pytest.fixture
def parquet(rows, tmp_path):
    path = tmp_path / "train.parquet"
    columns = {name: rows[:, at] for at, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns | {"target": np.zeros(len(rows))}), path)
    return path


def read(folder):
    pinned = pin_version(folder, folder.parents[1], max_bytes=1 << 24)
    return decode_profile(pinned.files[PROFILE_FILE], SIGNATURE)


def test_profile_of_parquet_describes_inputs_and_what_the_model_answers(
    fastserve, repository, folder, parquet, rows
):
    outcome = fastserve(
        *("drift", "profile", "m", "--data", parquet, "--repository", repository),
        *("--columns", ",".join(NAMES)),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].startswith("3000 rows, 31 features -> ")
    profile = read(folder)
    assert profile.header.features["x[3]"].label == "measure 3"
    for feature in (0, 29):
        summary = profile.sketch.summary(feature)
        assert summary.mean == pytest.approx(rows[:, feature].mean(), abs=1e-6)
        assert summary.minimum == rows[:, feature].min()
    answers = profile.sketch.summary(FEATURES)
    assert answers.count == 3000
    assert answers.mean == pytest.approx(rows.mean(), abs=1e-5)
    assert profile.origin.has_outputs


def test_profile_of_npz_with_so_many_rows(fastserve, repository, folder, rows, tmp_path):
    path = tmp_path / "train.npz"
    np.savez(path, x=rows, labels=np.zeros(len(rows)))
    arguments = ("--data", path, "--repository", repository, "--rows", "700", "--json")
    outcome = fastserve("drift", "profile", "m", *arguments)
    assert outcome.code == 0, outcome.err
    made = json.loads(outcome.out)
    assert (made["rows"], made["features"], made["has_outputs"]) == (700, 31, True)
    assert made["left_out_columns"] == ["labels"]
    assert read(folder).rows == 700


def test_profile_of_csv_goes_into_the_manifest(fastserve, repository, folder, rows, tmp_path):
    manifest = describe_files({"model.onnx": (folder / "model.onnx").read_bytes()})
    (folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    path = tmp_path / "train.csv"
    np.savetxt(path, rows[:50], delimiter=",", header=",".join(NAMES), comments="")
    outcome = fastserve("drift", "profile", "m", "--data", path, "--repository", repository)
    assert outcome.code == 0, outcome.err
    assert read(folder).rows == 50


def test_profile_of_inputs_alone_says_so(fastserve, repository, folder, parquet):
    outcome = fastserve(
        *("drift", "profile", "m", "--data", parquet, "--repository", repository),
        *("--columns", ",".join(NAMES), "--inputs-only"),
    )
    assert outcome.code == 0, outcome.err
    assert "note: the model was not run: outputs have no reference" in outcome.out
    profile = read(folder)
    assert not profile.origin.has_outputs
    assert profile.sketch.summary(FEATURES).count == 0


def test_model_that_does_not_run_leaves_outputs_without_a_reference(
    fastserve, repository, rows, tmp_path
):
    folder = repository / "refusing" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(refusing_model())
    path = tmp_path / "train.npz"
    np.savez(path, x=rows)
    arguments = ("--data", path, "--repository", repository, "--json")
    outcome = fastserve("drift", "profile", "refusing", *arguments)
    assert outcome.code == 0, outcome.err
    made = json.loads(outcome.out)
    assert made["note"].startswith("outputs have no reference: the model did not run: ")
    assert not made["has_outputs"]


def test_rules_of_the_rows_are_in_the_profile(fastserve, repository, folder, parquet, rows):
    outcome = fastserve(
        *("drift", "profile", "m", "--data", parquet, "--repository", repository),
        *("--columns", ",".join(NAMES), "--rules"),
    )
    assert outcome.code == 0, outcome.err
    rule = read(folder).header.features["x[5]"]
    assert (rule.min, rule.max) == (rows[:, 5].min(), rows[:, 5].max())
    assert (rule.label, rule.missing) == ("measure 5", 0)


def test_new_profile_takes_the_place_of_one_that_does_not_fit(
    fastserve, repository, folder, parquet
):
    (folder / PROFILE_FILE).write_bytes(b"not a profile")
    outcome = fastserve(
        *("drift", "profile", "m", "--data", parquet, "--repository", repository),
        *("--columns", ",".join(NAMES)),
    )
    assert outcome.code == 0, outcome.err
    assert read(folder).rows == 3000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "has no model 'nothing'"),
        (["m", "--version", "7"], "model 'm' has no version 7; it has 1"),
        (["m"], "got 31 columns, expected 30"),
        (["m", "--columns", "measure 0,other"], "has no column 'other'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    fastserve, repository, folder, parquet, *, arguments, message
):
    outcome = fastserve(
        "drift", "profile", *arguments, "--data", parquet, "--repository", repository
    )
    assert outcome.code == 1
    assert message in outcome.err
    assert not (folder / PROFILE_FILE).exists()


def test_demo_models_have_profiles(fastserve, demo_models, tmp_path):
    repository = tmp_path / "repository"
    shutil.copytree(demo_models.repository, repository)
    for model in demo_models.names:
        held = demo_models.held_out(model)
        path = tmp_path / f"{model}.npz"
        rows = held.rows.astype("U") if held.rows.dtype == object else held.rows
        np.savez(path, **{held.input_name: rows})
        outcome = fastserve(
            *("drift", "profile", model, "--data", path, "--repository", repository, "--json")
        )
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["has_outputs"]
