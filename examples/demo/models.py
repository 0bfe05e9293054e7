"""Trains the demo's models on data that is on every machine and exports them to ONNX.

    python examples/demo/models.py FOLDER

writes FOLDER/repository/<model>/1/model.onnx, ready for `fastserve serve FOLDER/repository`, and
FOLDER/held_out/<model>.npz: the rows that training did not see, their labels, and what ONNX Runtime
answers for them in this process. Every seed is fixed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convnet
import docstrings
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn import datasets
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SEED = 7
# The newest opset of the `ai.onnx` domain that skl2onnx 1.18 and ONNX Runtime 1.27 both know.
OPSET = 18
TOKENS = "[a-z_]+"


@dataclass(frozen=True)
class DemoModel:
    """One exported model beside the rows that it was not trained on."""

    name: str
    onnx: bytes
    input_name: str
    rows: NDArray[Any]  # the held-out rows, first axis rows
    labels: NDArray[Any]  # the truth for them
    answer: str  # the output that is compared with the truth

    @property
    def metric(self) -> str:
        return "R2" if self.labels.dtype.kind == "f" else "accuracy"

    def score(self, answers: NDArray[Any]) -> float:
        """Returns how good the answers are: the share that is right, or R2 for a regression."""
        if self.metric == "R2":
            return float(r2_score(self.labels, answers.reshape(-1)))
        return float(accuracy_score(self.labels, answers.reshape(-1)))

    def predict(self) -> dict[str, NDArray[Any]]:
        """Returns ONNX Runtime's outputs for all held-out rows, in this process, on one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            self.onnx, options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {self.input_name: self.rows}), strict=True))


def breast_cancer() -> DemoModel:
    """A tabular classifier: 30 measurements of a cell nucleus, benign or malignant."""
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    features = features.astype(np.float32)
    seen, held, seen_labels, held_labels = _split(features, labels.astype(np.int64))
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=SEED))
    fitted.fit(seen, seen_labels)
    proto = _export(fitted, "features", FloatTensorType([None, 30]), {"zipmap": False})
    return DemoModel("breast_cancer", proto, "features", held, held_labels, "label")


def digits() -> DemoModel:
    """An image classifier: handwritten digits, 8x8 grey, by a convolutional net."""
    pixels, labels = datasets.load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    seen, held, seen_labels, held_labels = _split(images, labels.astype(np.int64))
    net = convnet.fit(seen, seen_labels, epochs=30, seed=SEED)
    return DemoModel("digits", net.to_onnx(), "image", held, held_labels, "label")


def diabetes() -> DemoModel:
    """A regression: ten measurements, how far the disease went a year later."""
    features, progress = datasets.load_diabetes(return_X_y=True)
    seen, held, seen_labels, held_labels = _split(features.astype(np.float32), progress)
    fitted = GradientBoostingRegressor(
        n_estimators=100, max_depth=2, learning_rate=0.08, subsample=0.7, random_state=SEED
    )
    fitted.fit(seen, seen_labels)
    proto = _export(fitted, "features", FloatTensorType([None, 10]), {})
    return DemoModel("diabetes", proto, "features", held, held_labels, "variable")


def docstring_topics() -> DemoModel:
    """A text classifier, BYTES in and BYTES out: which topic a docstring is about."""
    texts, topics = (np.array(column) for column in zip(*docstrings.read(), strict=True))
    seen, held, seen_labels, held_labels = _split(texts, topics)
    fitted = make_pipeline(
        # The exported tokenizer knows this pattern exactly; scikit-learn's default, with its word
        # boundaries, it does not. The rows are lower case already: lowering in the graph would
        # need a locale that not every machine has.
        TfidfVectorizer(token_pattern=TOKENS, lowercase=False, min_df=2),
        LogisticRegression(C=20, max_iter=2000, random_state=SEED),
    )
    fitted.fit(seen, seen_labels)
    proto = _export(fitted, "text", StringTensorType([None]), {"zipmap": False})
    rows = held.astype(object)
    return DemoModel("docstring_topics", proto, "text", rows, held_labels, "label")


MODELS: tuple[Callable[[], DemoModel], ...] = (breast_cancer, digits, diabetes, docstring_topics)


def build(folder: Path) -> list[DemoModel]:
    """Trains every model and writes it and its held-out rows under the folder."""
    held_out = folder / "held_out"
    held_out.mkdir(parents=True, exist_ok=True)
    built = []
    for train in MODELS:
        model = train()
        version = folder / "repository" / model.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(model.onnx)
        # Text as fixed-width unicode: an object array would need pickle.
        columns = {model.input_name: model.rows, "labels": model.labels}
        columns |= {f"output_{name}": value for name, value in model.predict().items()}
        plain: dict[str, Any] = {
            name: column.astype(str) if column.dtype == object else column
            for name, column in columns.items()
        }
        np.savez(held_out / f"{model.name}.npz", **plain)
        built.append(model)
    return built


def _split(rows: NDArray[Any], labels: NDArray[Any]) -> list[NDArray[Any]]:
    stratify = labels if labels.dtype.kind != "f" else None
    parts: list[NDArray[Any]] = train_test_split(
        rows, labels, test_size=0.25, random_state=SEED, stratify=stratify
    )
    return parts


def _export(fitted: Any, name: str, kind: Any, options: dict[str, object]) -> bytes:
    last = fitted[-1] if hasattr(fitted, "steps") else fitted
    model = to_onnx(
        fitted,
        initial_types=[(name, kind)],
        target_opset=OPSET,
        options={id(last): options} if options else None,
    )
    serialized: bytes = model.SerializeToString()
    return serialized


def main() -> None:
    """Builds into the folder named on the command line and prints each model's score."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/demo/models.py FOLDER")
    started = time.perf_counter()
    for model in build(Path(sys.argv[1])):
        score = model.score(model.predict()[model.answer])
        print(
            f"{model.name:18} {len(model.rows):5} held-out rows  "
            f"{len(model.onnx) / 1e3:8.1f} kB  {model.metric} {score:.4f}"
        )
    print(f"trained and exported in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
