"""Write the two encoders as ONNX files, which run without PyTorch: in a browser, on a phone, in a service.

`export_onnx` traces each encoder with PyTorch's own exporter, then stores its weights in less space. Computing stays in
float32: the weights are converted back when a runtime opens the file.
"""

import argparse
import importlib.util
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.torch_version import TorchVersion

from helpers._clip import CLIP, clip_preprocess, tokenizer
from helpers._files import replace_file
from helpers._validation import path_of, printable, reason, told
from helpers.forward import causal_text_features, feature_size, image_features, refuse_not_clips_own
from helpers.models import load

PRODUCER = "helpers.export"  # stands at the beginning of each file, so that nobody else's is overwritten
OPSET = 18
OLDEST_TORCH = "2.8"  # the first whose exporter keeps the number of texts and their length open
INT8_MAX = 127


def export_onnx(model: CLIP, folder: str | os.PathLike, float32: bool = False) -> tuple[Path, Path]:
    """Write the image encoder and the text encoder of a model as ONNX files.

    Both files carry what a program needs beside them as metadata: ``resolution`` and ``mean`` and ``std`` of the
    preprocessing, ``context_length``, ``logit_scale``. Tokens come from CLIP's own tokenizer.

    Args:
        model: from `load`, in float32; any model of OpenAI's architecture, a fine-tuned one too.
        folder: is made if it does not exist. Files that this function wrote before are replaced.
        float32: store the weights as they are. By default matrices are stored in float16, and the token embedding in
            int8 with one scale per token: less than half the size. The cosine distance between the embeddings and
            those of the model stays below 1e-6 for images and 2e-4 for texts with the bundled models.

    Returns:
        The paths of two files:

        - ``image.onnx`` maps ``pixels``, ``(n, 3, resolution, resolution)`` float32, preprocessed, to ``features``,
          ``(n, d)`` float32, not normalized;
        - ``text.onnx`` maps ``tokens``, ``(n, length)`` int32, to ``features``. ``length`` is that
          of the longest text of the call, start and end token included: from 2 to the context length. Shorter texts are
          padded with 0.

    Raises:
        FileExistsError: a file of that name was not written by this function.
        ImportError: onnx or onnxscript is not installed, or PyTorch is older than 2.8.
        OSError: a file cannot be written. None is left half written.
        TypeError: the model is not of OpenAI's architecture, or has hooks, LoRA or parts that are not clip's own.
        ValueError: the model is not in float32, or is in training mode.
    """
    folder = path_of("folder", folder)
    _refuse_what_cannot_export()
    feature_size(model)
    refuse_not_clips_own(model)
    if model.dtype != torch.float32:
        raise ValueError(f"Expected a model in float32; got {model.dtype}. Load it with precision='float32'.")
    files = folder / "image.onnx", folder / "text.onnx"
    for file in files:
        _refuse_foreign(file)
    folder.mkdir(parents=True, exist_ok=True)
    for file, graph in zip(files, (_image_encoder(model), _text_encoder(model)), strict=True):
        if not float32:
            _shrink(graph)
        _write(graph, file, _metadata(model))
    return files


class _Encoder(nn.Module):
    """One of the functions of `helpers.forward` as a module, which the exporter asks for."""

    def __init__(self, model: CLIP, features: Any) -> None:
        super().__init__()
        self.model, self.features = model, features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the features, by plain products."""
        return self.features(self.model, x, functional.linear)


def _image_encoder(model: CLIP) -> Any:
    size = model.visual.input_resolution
    pixels = torch.zeros(2, 3, size, size)
    return _traced(model, image_features, pixels, "pixels", {0: torch.export.Dim("n")})


def _text_encoder(model: CLIP) -> Any:
    start, end = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    tokens = torch.tensor([[start, end, 0], [start, 1, end]], dtype=torch.int32)
    length = torch.export.Dim("length", min=2, max=model.context_length)
    return _traced(model, causal_text_features, tokens, "tokens", {0: torch.export.Dim("n"), 1: length})


def _traced(model: CLIP, features: Any, example: torch.Tensor, name: str, dynamic: dict[int, Any]) -> Any:
    """Return the graph of an encoder, with initializers in float32."""
    device = next(model.parameters()).device
    with _silent():
        program = torch.onnx.export(
            _Encoder(model, features).eval(),
            (example.to(device),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=["features"],
            dynamic_shapes={"x": dynamic},
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter from telling what it does not fold or need."""
    least = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(least)


def _shrink(proto: Any) -> None:
    """Store the token embedding in int8, a scale for each row, and all other matrices in float16."""
    graph = proto.graph
    matrices = {each.name: each for each in graph.initializer if len(each.dims) > 1}
    for node in list(graph.node):
        if node.op_type == "Gather" and list(node.input[1:]) == ["tokens"] and node.input[0] in matrices:
            _store_rows_in_int8(graph, node, matrices.pop(node.input[0]))
    for matrix in matrices.values():
        _store_in_float16(graph, matrix)


def _store_rows_in_int8(graph: Any, gather: Any, matrix: Any) -> None:
    """Multiply only the rows that are looked up, so that no runtime converts the whole matrix."""
    from onnx import TensorProto, helper, numpy_helper

    rows = numpy_helper.to_array(matrix)
    scale = np.abs(rows).max(axis=1, keepdims=True) / INT8_MAX
    scale[scale == 0] = 1
    name, tokens, out = matrix.name, gather.input[1], gather.output[0]
    matrix.CopyFrom(numpy_helper.from_array(np.rint(rows / scale).astype(np.int8), name))
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
    at = list(graph.node).index(gather)
    graph.node.remove(gather)
    nodes = [
        helper.make_node("Gather", [name, tokens], [f"{name}.int8"]),
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}.scale", tokens], [f"{name}.scales"]),
        helper.make_node("Mul", [f"{name}.float", f"{name}.scales"], [out]),
    ]
    for node in reversed(nodes):
        graph.node.insert(at, node)


def _store_in_float16(graph: Any, matrix: Any) -> None:
    """Convert the matrix back where the graph begins; a runtime does so once, when it opens the file."""
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.to_array(matrix)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if values.dtype != np.float32 or not np.isfinite(half).all():
        return
    name = matrix.name
    matrix.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
    graph.node.insert(0, helper.make_node("Cast", [f"{name}.float16"], [name], to=TensorProto.FLOAT))


def _metadata(model: CLIP) -> dict[str, Any]:
    normalization = clip_preprocess(model.visual.input_resolution).transforms[-1]
    return {
        "resolution": model.visual.input_resolution,
        "mean": normalization.mean,
        "std": normalization.std,
        "context_length": model.context_length,
        "logit_scale": round(model.logit_scale.exp().item(), 4),
    }


def _refuse_foreign(file: Path) -> None:
    with suppress(FileNotFoundError), file.open("rb") as content:
        if PRODUCER.encode() not in content.read(64):
            raise FileExistsError(f"{printable(file)} was not written by this export. Choose another folder.")


def _write(proto: Any, file: Path, metadata: dict[str, Any]) -> None:
    proto.producer_name, proto.producer_version = PRODUCER, ""
    del proto.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=json.dumps(value))
    replace_file(file, proto.SerializeToString())


def _refuse_what_cannot_export() -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"Writing ONNX files needs {' and '.join(missing)}; got none. Run `pip install onnx onnxscript`.",
            name=missing[0],
        )
    if TorchVersion(torch.__version__) < OLDEST_TORCH:
        raise ImportError(
            f"Expected torch {OLDEST_TORCH} or newer, which can export both encoders; got {torch.__version__}. "
            "Run `pip install --upgrade torch torchvision`."
        )


def main(arguments: list[str]) -> int:
    """Export a model and print what was written; return 2 if that failed."""
    parser = argparse.ArgumentParser("python -m helpers export", description="Write a model as two ONNX files.")
    parser.add_argument("model", metavar="MODEL", help="name of a model, such as tiny, or path of a checkpoint")
    parser.add_argument("folder", metavar="FOLDER", help="for image.onnx and text.onnx")
    parser.add_argument("--float32", action="store_true", help="store all weights in float32: exact, twice the size")
    options = parser.parse_args(arguments)
    try:
        _refuse_what_cannot_export()
        model, _ = load(options.model, "cpu", precision="float32")
        files = export_onnx(model, options.folder, options.float32)
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        print(told(error) if isinstance(error, OSError) else reason(error), file=sys.stderr)
        return 2
    for file in files:
        print(f"{file.stat().st_size / 1e6:6.1f} MB  {printable(file)}")
    return 0
