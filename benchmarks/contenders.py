"""What a user would otherwise call, each with the same weights: a random ViT-B/32 in OpenAI's format."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import clip
import numpy as np
import onnxruntime
import open_clip
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import CLIPModel as SentenceCLIP
from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

import helpers
from benchmarks.peers import build_open_clip, build_transformers
from helpers._clip import CLIP, tokenizer
from helpers._linear import Linear
from helpers.forward import image_features
from helpers.threads import in_threads

BATCH = 32


@dataclass
class Contender:
    """One way to encode: each call gives features ``(n, 512)``; None stands for what it does not offer.

    ``folder`` takes paths, ``texts`` strings, ``pixels`` a tensor ``(n, 3, 224, 224)`` of preprocessed images, as
    does ``half_pixels``, which computes in bfloat16.
    """

    name: str
    folder: Callable[[list[Path]], np.ndarray] | None = None
    texts: Callable[[list[str]], np.ndarray] | None = None
    pixels: Callable[[torch.Tensor], np.ndarray] | None = None
    half_pixels: Callable[[torch.Tensor], np.ndarray] | None = None


def list_contenders(folder: Path) -> list[Contender]:
    """Load all of them; ``folder`` keeps the files that they need. Plain clip in batches comes first."""
    weights = folder / "vit-b-32.pt"
    if not weights.exists():
        torch.manual_seed(0)
        torch.save(CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12).state_dict(), weights)
    state = torch.load(weights, weights_only=True)
    model, preprocess = helpers.load(weights, "cpu", precision="float32")
    theirs = build_open_clip(state)
    return [
        call_batches("clip, in batches", model, preprocess, clip.tokenize),
        Contender("a tutorial's lines, one at a time", partial(one_at_a_time, model, preprocess)),
        call_batches("open_clip", *theirs, open_clip.get_tokenizer("ViT-B-32-quickgelu")),
        *load_transformers(state, folder / "transformers"),
        load_onnx(model, preprocess, folder),
        *list_ours(weights, model, preprocess),
    ]


def in_batches(call: Callable, items: list | torch.Tensor) -> np.ndarray:
    """Call with 32 items at a time, and join the results."""
    with torch.inference_mode():
        results = [call(items[start : start + BATCH]) for start in range(0, len(items), BATCH)]
        return torch.cat(results).float().numpy()


def open_all(preprocess: Callable, paths: list[Path]) -> torch.Tensor:
    """Open and preprocess images as a tutorial does: ``(n, 3, 224, 224)``."""
    return torch.stack([preprocess(Image.open(path)) for path in paths])


def one_at_a_time(model: torch.nn.Module, preprocess: Callable, paths: list[Path]) -> np.ndarray:
    """Encode as the README does that this course grew from."""
    with torch.no_grad():
        return torch.cat([model.encode_image(open_all(preprocess, [path])) for path in paths]).numpy()


def call_batches(name: str, model: torch.nn.Module, preprocess: Callable, tokenize: Callable) -> Contender:
    """Make a contender of a model with the calls of `clip`, 32 images or texts at a time."""

    def autocast(pixels: torch.Tensor) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return in_batches(model.encode_image, pixels)

    return Contender(
        name,
        partial(in_batches, lambda paths: model.encode_image(open_all(preprocess, paths))),
        partial(in_batches, lambda texts: model.encode_text(tokenize(texts))),
        partial(in_batches, model.encode_image),
        autocast,
    )


def load_transformers(state: dict[str, torch.Tensor], saved: Path) -> list[Contender]:
    """transformers, and sentence-transformers, which reads the folder ``saved`` that it writes."""
    model = build_transformers(state)
    merges = list(tokenizer.bpe_ranks)
    processor = CLIPProcessor(CLIPImageProcessor(), CLIPTokenizer(vocab=tokenizer.encoder, merges=merges))
    model.save_pretrained(saved)
    processor.save_pretrained(saved)
    half = CLIPModel.from_pretrained(saved, dtype=torch.bfloat16).eval()

    def encode(paths: list[Path]) -> torch.Tensor:
        inputs = processor(images=[Image.open(path) for path in paths], return_tensors="pt")
        return model.get_image_features(**inputs).pooler_output

    def encode_texts(texts: list[str]) -> torch.Tensor:
        return model.get_text_features(**processor(text=texts, padding=True, return_tensors="pt")).pooler_output

    def encode_pixels(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
        return model.get_image_features(pixel_values=pixels.to(model.dtype)).pooler_output

    sentence = SentenceTransformer(modules=[SentenceCLIP(str(saved))], device="cpu")
    options = {"batch_size": BATCH, "show_progress_bar": False}
    return [
        Contender(
            "transformers",
            partial(in_batches, encode),
            partial(in_batches, encode_texts),
            partial(in_batches, partial(encode_pixels, model)),
            partial(in_batches, partial(encode_pixels, half)),
        ),
        Contender(
            "sentence-transformers",
            lambda paths: sentence.encode([Image.open(path) for path in paths], **options),
            lambda texts: sentence.encode(texts, **options),
        ),
    ]


class TextEncoder(torch.nn.Module):
    """CLIP's text encoder as a module of its own, for the export."""

    def __init__(self, model: CLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode tokens ``(n, 77)``."""
        return self.model.encode_text(tokens)


def load_onnx(model: CLIP, preprocess: Callable, folder: Path) -> Contender:
    """ONNX Runtime with the two encoders of clip, exported for any batch size."""

    def load(name: str, module: torch.nn.Module, example: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        path = folder / f"{name}.onnx"
        if not path.exists():
            torch.onnx.export(module, (example,), path, input_names=["x"], dynamic_axes={"x": {0: "n"}}, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])

    encode_pixels = load("images", model.visual, torch.zeros(2, 3, 224, 224))
    encode_tokens = load("texts", TextEncoder(model), clip.tokenize(["a cat", "dogs"]))
    return Contender(
        "ONNX Runtime",
        partial(in_batches, lambda paths: encode_pixels(open_all(preprocess, paths))),
        partial(in_batches, lambda texts: encode_tokens(clip.tokenize(texts))),
        partial(in_batches, encode_pixels),
    )


def list_ours(weights: Path, model: CLIP, preprocess: Callable) -> list[Contender]:
    """The helpers: as they are, with full-size decoding, and in bfloat16."""
    half, _ = helpers.load(weights, "cpu", precision="bfloat16")

    def encode_pixels(model: CLIP, pixels: torch.Tensor) -> np.ndarray:
        linear = Linear()  # shared, as encode_images shares one

        def encode(piece: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return image_features(model, piece, linear)

        return torch.cat(list(in_threads(encode, pixels.split(BATCH)))).float().numpy()

    def encode_folder(model: CLIP, fast_decode: bool, paths: list[Path]) -> np.ndarray:
        return helpers.encode_images(model, preprocess, paths, progress=False, fast_decode=fast_decode)

    def encode_texts(model: CLIP, texts: list[str]) -> np.ndarray:
        return helpers.encode_texts(model, texts, progress=False)

    return [
        Contender(
            "helpers",
            partial(encode_folder, model, True),
            partial(encode_texts, model),
            partial(encode_pixels, model),
            partial(encode_pixels, half),
        ),
        Contender("helpers, fast_decode=False", partial(encode_folder, model, False)),
        Contender("helpers, bfloat16", partial(encode_folder, half, True), partial(encode_texts, half)),
    ]
