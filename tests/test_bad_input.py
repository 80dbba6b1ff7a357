"""Every public door answers bad input as documented: one printable line that names it, in bounded time and memory.

`KINDS` is the table. Each row is a thing to do and the error that must come, or None where the odd thing is in order.
"""

import io
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from clip.clip import _transform
from filelock import FileLock
from PIL import Image

import helpers
from helpers.course.exercises import Verdict
from tests.conftest import IMAGES, ROOT

mpl.use("agg")
CAT = IMAGES / "cat.png"
PNG, JPEG = CAT.read_bytes(), (IMAGES / "maze1.jpeg").read_bytes()
SECONDS, MEGABYTES = 5, 500  # of processor time and of memory for each kind
KINDS: list = []


@pytest.fixture(autouse=True)
def no_figures():
    plt.close("all")


def kind(name, do, error=None, message=""):
    KINDS.append(pytest.param(do, error, message, id=name))


@pytest.fixture(scope="module")
def w(tmp_path_factory, tiny):
    """What the kinds need: a folder, `tiny`, and ways to make files, images and checkpoints."""
    folder = tmp_path_factory.mktemp("bad")
    model, preprocess = tiny
    state = model.state_dict()

    def file(name, content):
        path = folder / name
        path.write_bytes(content)
        return path

    def image_file(name, image, kind="PNG", **options):
        stored = io.BytesIO()
        image.save(stored, kind, **options)
        return file(name, stored.getvalue())

    def checkpoint(name, content):
        torch.save(content, folder / name)
        return folder / name

    def gallery(name, **options):
        place = folder / name
        if not place.exists():
            place.mkdir()
            for drawing in ("cat", "dog", "bus"):
                shutil.copy(IMAGES / f"{drawing}.png", place)
            helpers.FolderIndex(place, model, preprocess).update()
        return helpers.FolderIndex(place, model, preprocess, **options)

    return SimpleNamespace(
        folder=folder,
        model=model,
        preprocess=preprocess,
        state=state,
        file=file,
        image_file=image_file,
        checkpoint=checkpoint,
        gallery=gallery,
    )


# What is done, in short


def opened(make):
    return lambda w: helpers.open_image(make(w)).load()


def encoded(texts, **options):
    return lambda w: helpers.encode_texts(w.model, texts, **options)


def loaded(make, **options):
    return lambda w: helpers.load(make(w), **options)


def searched(**question):
    return lambda w: w.gallery("sound").search(**question)


def changed(w, **tensors):
    return {**w.state, **tensors}


class Runs:
    def __reduce__(self):
        return (open, ("/tmp/written-by-a-checkpoint", "w"))


# Images

PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n"
BAD = (helpers.ImageError, "can't be read as an image: ")


def chunk(kind, content):
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(width, height, depth=8, colours=2, content=b""):
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colours, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def fifo(w):
    if not (w.folder / "pipe.png").exists():
        os.mkfifo(w.folder / "pipe.png")
    return w.folder / "pipe.png"


def circle(w):
    for link, target in (("a.png", "b.png"), ("b.png", "a.png")):
        if not (w.folder / link).is_symlink():
            (w.folder / link).symlink_to(w.folder / target)
    return w.folder / "a.png"


def floats(*odd):
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    values[0, : len(odd)] = odd
    return Image.fromarray(values)


def with_exif(content):
    return lambda w: w.image_file("exif.jpg", Image.new("RGB", (16, 8), "red"), "JPEG", exif=content)


def odd_tag(w):
    image = Image.new("RGB", (16, 8), "red")
    image.getexif()[0x0112], image.getexif()[0x010E] = 6, object()
    return image


def zeros_without_end(w):
    with Path("/dev/zero").open("rb") as file:
        helpers.open_image(file)


def animation(w):
    frames = [Image.new("P", (16, 16), i) for i in range(50)]
    return w.image_file("endless.gif", frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0)


kind("image: zero bytes", opened(lambda w: w.file("zero.png", b"")), *BAD)
kind("image: one byte", opened(lambda w: w.file("one.png", b"\x89")), *BAD)
kind("image: text", opened(lambda w: w.file("text.jpg", b"this is no image")), *BAD)
kind("image: a page saved as .jpg", opened(lambda w: w.file("page.jpg", b"<!doctype html><p>404")), *BAD)
kind("image: an SVG", opened(lambda w: w.file("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")), *BAD)
kind("image: a PDF", opened(lambda w: w.file("a.pdf", b"%PDF-1.7\n")), *BAD)
kind("image: a zip", opened(lambda w: w.file("zip.png", b"PK\x03\x04" + bytes(40))), *BAD)
kind("image: zeros", opened(lambda w: w.file("zeros.tga", bytes(10_000))), *BAD)
kind("image: noise", opened(lambda w: w.file("noise.jpg", random.Random(0).randbytes(10_000))), *BAD)
kind("image: PNG named .jpg", opened(lambda w: w.file("wrong.jpg", PNG)))
kind("image: JPEG without suffix", opened(lambda w: w.file("bare", JPEG)))
kind("image: half a PNG", opened(lambda w: w.file("half.png", PNG[: len(PNG) // 2])), *BAD)
kind("image: half a JPEG", opened(lambda w: w.file("half.jpg", JPEG[: len(JPEG) // 2])), *BAD)
kind("image: a head alone", opened(lambda w: w.file("head.png", PNG[:33])), *BAD)
kind("image: no frame", opened(lambda w: w.file("none.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")), *BAD)
kind("image: a bomb", opened(lambda w: w.file("bomb.png", png(60_000, 60_000))), BAD[0], "decompression bomb")
kind("image: a side of 0", opened(lambda w: w.file("side.png", png(0, 100))), *BAD)
kind("image: negative sides", opened(lambda w: w.file("minus.png", png(2**32 - 1, 2**32 - 1))), *BAD)
kind("image: an unknown depth", opened(lambda w: w.file("depth.png", png(4, 4, depth=77))), *BAD)
kind(
    "image: a program in PostScript",
    opened(lambda w: w.file("ps.jpg", PROGRAM)),
    BAD[0],
    "an EPS file is a program, and it is not run",
)
kind("image: 1×1", opened(lambda w: w.image_file("dot.png", Image.new("RGB", (1, 1)))))
kind("image: 1×1, encoded", lambda w: helpers.encode_images(w.model, w.preprocess, Image.new("RGB", (1, 1))))
kind("image: 1×20000, encoded", lambda w: helpers.encode_images(w.model, w.preprocess, Image.new("1", (1, 20_000))))
kind("image: 20000×1, encoded", lambda w: helpers.encode_images(w.model, w.preprocess, Image.new("L", (20_000, 1))))
kind("image: a million long", lambda w: helpers.encode_images(w.model, w.preprocess, Image.new("L", (10**6, 1))))
kind("image: CMYK", opened(lambda w: w.image_file("cmyk.jpg", Image.new("CMYK", (8, 8)), "JPEG")))
kind("image: 16 bits", opened(lambda w: w.image_file("deep.png", Image.fromarray(np.ones((4, 4), np.uint16)))))
kind("image: 1 bit", opened(lambda w: w.image_file("bit.png", Image.new("1", (8, 8)))))
kind("image: Lab", opened(lambda w: w.image_file("lab.tif", Image.new("LAB", (8, 8)), "TIFF")))
kind("image: NaN", opened(lambda w: floats(np.nan)), BAD[0], "8×8 image can't be read.* 1 of its pixels")
kind("image: infinite", opened(lambda w: floats(np.inf, -np.inf)), BAD[0], "2 of its pixels are no finite number")
kind("image: NaN in a file", opened(lambda w: w.image_file("nan.tif", floats(np.nan), "TIFF")), *BAD)
kind("image: no pixels", opened(lambda w: Image.new("RGB", (0, 0))), BAD[0], "0×0 image.* it has no pixels")
kind("image: closed", opened(lambda w: closed_image()), *BAD)
kind("image: array", opened(lambda w: np.zeros((4, 4, 3))), BAD[0], r"ndarray is neither .*Image\.fromarray")
kind("image: tensor", opened(lambda w: torch.zeros(3, 4, 4)), BAD[0], "Tensor is neither a path nor a PIL image")
kind("image: list", opened(lambda w: [CAT]), BAD[0], "list is neither a path nor a PIL image")
kind("image: None", opened(lambda w: None), BAD[0], "NoneType is neither a path nor a PIL image")
kind("image: number", opened(lambda w: 3), BAD[0], "int is neither a path nor a PIL image")
kind("image: bytes", opened(lambda w: PNG), BAD[0], "bytes is neither a path nor a PIL image")
kind("image: URL", opened(lambda w: "https://x.org/a.png"), BAD[0], r"no such image: https://x\.org/a\.png")
kind("image: missing", opened(lambda w: w.folder / "missing.png"), BAD[0], r"no such image: .*missing\.png")
kind("image: below a file", opened(lambda w: CAT / "x.png"), BAD[0], "Not a directory")
kind("image: no name", opened(lambda w: ""), BAD[0], "it is a folder")
kind("image: folder", opened(lambda w: w.folder), BAD[0], "it is a folder or a device, and no file")
kind("image: a name too long", opened(lambda w: "x" * 100_000), BAD[0], "xxx….* name too long")
kind("image: NUL in its name", opened(lambda w: "a\0b"), BAD[0], r"a\\x00b can't be read.*null")
kind("image: a circle of links", opened(circle), BAD[0], r"a\.png can't be read.*: Too many levels")
kind("image: pipe", opened(fifo), BAD[0], "it is a folder or a device, and no file")
kind("image: /dev/zero", opened(lambda w: "/dev/zero"), BAD[0], "it is a folder or a device, and no file")
kind("image: unreadable", opened(lambda w: "/proc/self/mem"), BAD[0], "/proc/self/mem can't be read as an image")
kind("image: colours in its name", opened(lambda w: w.file("a\x1b[31m.png", b"")), BAD[0], r"a\\x1b\[31m\.png can't")
kind("image: a newline in its name", opened(lambda w: w.file("a\nb.png", b"")), BAD[0], r"a\\nb\.png can't be read")
kind("image: right-to-left in its name", opened(lambda w: "a\u202egnp.exe"), BAD[0], r"a\\u202egnp\.exe")
kind("image: undecodable name", opened(lambda w: w.file(os.fsdecode(b"\xff.png"), b"")), BAD[0], r"\\udcff\.png")
kind("image: open but empty", opened(lambda w: io.BytesIO()), BAD[0], "the opened file can't be read")
kind("image: open as text", opened(lambda w: io.StringIO("text")), BAD[0], "the opened file can't be read")
kind("image: open and endless", zeros_without_end, *BAD)
kind("image: open, one for all", lambda w: helpers.encode_images(w.model, w.preprocess, io.BytesIO(PNG)))
kind("image: broken EXIF", opened(with_exif(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(9))))
kind("image: noise as EXIF", opened(with_exif(b"Exif\0\0" + random.Random(1).randbytes(60))))
kind("image: an odd EXIF tag", lambda w: same(helpers.open_image(odd_tag(w)).size, (8, 16)))
kind("image: an endless GIF", opened(animation))
kind("image: enough is a string", lambda w: helpers.open_image(CAT, "100"), TypeError, "enough is '100', a str")
kind("image: enough is negative", lambda w: helpers.open_image(CAT, -1), ValueError, "enough is -1; it must be at le")


def closed_image():
    image = Image.open(CAT)
    image.close()
    return image


def same(found, expected):
    assert found == expected


# Encoding images

IMAGES_OF = helpers.encode_images
kind("images: None", lambda w: IMAGES_OF(w.model, w.preprocess, None), TypeError, "None is no image and no list of pi")
kind("images: a number", lambda w: IMAGES_OF(w.model, w.preprocess, 3), TypeError, "3 is no image and no list of pict")
kind("images: an array", lambda w: IMAGES_OF(w.model, w.preprocess, np.zeros((2, 4, 4))), BAD[0], "ndarray is neither")
kind("images: none", lambda w: same(IMAGES_OF(w.model, w.preprocess, []).shape, (0, 384)))
kind("images: all bad", lambda w: IMAGES_OF(w.model, w.preprocess, ["a.png", 3]), BAD[0], "no such image: a.png; a int")
kind(
    "images: model and preprocess together",
    lambda w: IMAGES_OF((w.model, w.preprocess), w.preprocess, CAT),
    TypeError,
    r"model is \(CLIP.* give the model alone: model, preprocess = load",
)
kind(
    "images: model and preprocess swapped", lambda w: IMAGES_OF(w.preprocess, w.model, CAT), TypeError, "model is Comp"
)
kind("images: no model", lambda w: IMAGES_OF(None, w.preprocess, CAT), TypeError, "model is None; give the model alone")
kind(
    "images: another network", lambda w: IMAGES_OF(torch.nn.Linear(2, 2), w.preprocess, CAT), TypeError, "model is Lin"
)
kind("images: no preprocess", lambda w: IMAGES_OF(w.model, None, CAT), TypeError, "preprocess is None; give the one")
kind(
    "images: another model's preprocess",
    lambda w: IMAGES_OF(w.model, _transform(224), CAT),
    ValueError,
    r"preprocess gives \(3, 224, 224\), and the model takes \(3, 64, 64\)",
)
kind(
    "images: preprocess without numbers",
    lambda w: IMAGES_OF(w.model, lambda image: image, CAT),
    ValueError,
    r"preprocess gives \(\), and the model takes",
)
for bad, error, says in (
    (0, ValueError, "0; it must be at least 1"),
    ("8", TypeError, "'8', a str; it must be a whole"),
    (1.5, TypeError, "1.5, a float"),
    (None, TypeError, "None, a NoneType"),
    (True, TypeError, "True, a bool"),
    (2**70, ValueError, "at most"),
):
    kind(
        f"images: batch_size={bad!r}",
        lambda w, bad=bad: IMAGES_OF(w.model, w.preprocess, CAT, batch_size=bad),
        error,
        f"batch_size is .*{says}",
    )


def in_training(w):
    model, preprocess = helpers.load("tiny")
    before = {name: tensor.clone() for name, tensor in model.train().state_dict().items()}
    try:
        helpers.encode_images(model, preprocess, CAT)
    finally:
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


kind("images: a model in training", in_training, ValueError, r"the model is in training mode.*call model\.eval\(\)")

# Texts

kind("text: empty", lambda w: same(encoded("")(w).shape, (1, 384)))
kind("text: none", lambda w: same(encoded([])(w).shape, (0, 384)))
kind("text: blanks", encoded(" \t\n"))
kind("text: None", encoded(None), TypeError, "None is no list of texts; give strings")
kind("text: a number", encoded(3), TypeError, "3 is no list of texts")
kind("text: None among texts", encoded(["a", None]), TypeError, "text 1 is None, a NoneType; a text must be a string")
kind("text: bytes", encoded(b"a cat"), TypeError, "text 0 is b'a cat', a bytes; a text must be a string")
kind("text: nested", encoded([["a", "b"]]), TypeError, r"text 0 is \['a', 'b'\], a list")
kind("text: an array", encoded([np.zeros((99, 99))]), TypeError, r"text 0 is array\(\[\[0\..*, a ndarray")
kind("text: too long", encoded("cat " * 200), ValueError, r"text 0 has 202 tokens .*truncate=True")
kind(
    "text: a million letters", encoded("x" * 10**6), ValueError, "text 0 has 1,000,000 characters; no more than 10,000"
)
kind("text: a million, cut", encoded("cat " * 250_000, truncate=True), ValueError, "text 0 has 1,000,000 characters")
kind("text: a word of 10,000 letters", encoded("".join(random.Random(0).choices("abcdefgh", k=10_000)), truncate=True))
kind("text: long with colours", encoded("cat \x1b[31m" * 99), ValueError, r"cut after «[^\x1b]*»")
kind("text: lone surrogate", encoded("a \ud800 cat"))
kind("text: emoji", encoded("🐈‍⬛👩🏽‍🚀"))
kind("text: right to left", encoded("\u202eقطة"))
kind("text: control characters", encoded("\0\x1b[31m\x7f\ufeff"))
kind("text: the end token inside", encoded("a<|endoftext|> b"), ValueError, r"CLIP reads nothing behind '<\|endoftext")
kind("text: the end token in capitals", encoded("a <|ENDOFTEXT|>"), ValueError, "text 0 is 'a <.*leave it out")
kind("text: batch_size=None", encoded("a", batch_size=None), TypeError, "batch_size is None, a NoneType")
kind(
    "text: no model",
    lambda w: helpers.encode_texts("tiny", "a cat"),
    TypeError,
    "model is 'tiny'; give the model alone",
)

# Features and similarities: tests/test_compare.py has the odd types and layouts

ROWS = np.eye(3, dtype=np.float32)
for bad, error, says in (
    (np.zeros((2, 3)), ValueError, "row 0 has length 0.0, so it has no direction"),
    ([[1, 2], [np.nan, 1]], ValueError, "row 1 has length nan"),
    ([[np.inf, 1]], ValueError, "row 0 has length inf, so it has no"),
    ([[1e300, 1e300]], ValueError, "row 0 has length inf"),
    ("features", TypeError, "features has elements of <U8, which are no real numbers"),
    ([[1, 2], [3]], TypeError, "features can't become an array"),
    (None, TypeError, "features has elements of object"),
    ([[1j]], TypeError, "features has elements of complex128"),
    (1.0, ValueError, r"features has shape \(\)"),
    (torch.ones(2, 3, device="meta"), TypeError, "features can't become an array: .*meta"),
    (torch.ones(2, 3, requires_grad=True), TypeError, r"features can't become an array: .*requires grad"),
):
    kind(f"features: {type(bad).__name__}, {says[:60]}", lambda w, bad=bad: helpers.normalize(bad), error, says)
kind(
    "features: of two models",
    lambda w: helpers.cosine_similarity(np.ones((2, 3)), np.ones((2, 4))),
    ValueError,
    "texts have 3 features a row and images 4",
)
kind(
    "features: three dimensions",
    lambda w: helpers.cosine_similarity(np.ones((1, 2, 3)), ROWS),
    ValueError,
    r"text_features has shape \(1, 2, 3\)",
)
kind("features: none", lambda w: same(helpers.cosine_similarity(np.ones((0, 3)), ROWS).shape, (0, 3)))
NAN = np.array([[0.1, np.nan]])
kind("probabilities: NaN", lambda w: helpers.probabilities(NAN), ValueError, r"similarity is nan at \(0, 1\)")
kind(
    "probabilities: infinite", lambda w: helpers.probabilities([[np.inf]]), ValueError, r"similarity is inf at \(0, 0\)"
)
kind(
    "probabilities: axis=2", lambda w: helpers.probabilities(ROWS, axis=2), ValueError, "axis is 2; similarity of shape"
)
kind(
    "probabilities: axis=None", lambda w: helpers.probabilities(ROWS, axis=None), TypeError, "axis is None, a NoneType"
)
kind("probabilities: none", lambda w: helpers.probabilities(np.ones((0, 3))), ValueError, "no candidates along it")
kind("probabilities: scale NaN", lambda w: helpers.probabilities(ROWS, np.nan), ValueError, "logit_scale is nan")
kind(
    "probabilities: scale text", lambda w: helpers.probabilities(ROWS, "100"), TypeError, "logit_scale is '100', a str"
)
kind("top_k: NaN", lambda w: helpers.top_k(NAN, 1), ValueError, r"similarity is nan at \(0, 1\)")
for bad, error, says in (
    (0, ValueError, "0; it must be between 1 and 3"),
    (4, ValueError, "4; it must be between 1 and"),
    (2.0, TypeError, "2.0, a float"),
    ("2", TypeError, "'2', a str"),
):
    kind(f"top_k: k={bad!r}", lambda w, bad=bad: helpers.top_k(ROWS, bad), error, f"k is {says}")

# Models

kind("model: unknown", loaded(lambda w: "RESNET-9000"), ValueError, "got 'RESNET-9000'")
kind("model: a near miss", loaded(lambda w: "vit-b32"), ValueError, r"Did you mean 'ViT-B/32'\?")
kind("model: None", loaded(lambda w: None), ValueError, "got 'None'")
kind("model: a name too long", loaded(lambda w: "x" * 10**5), ValueError, "got 'xxx")
kind("model: colours in its name", loaded(lambda w: "\x1b[31mtiny\n"), ValueError, r"got '\\x1b\[31mtiny\\n'")
kind("model: a folder", loaded(lambda w: w.folder), ValueError, "Expected the name of a model")
kind("model: a pipe", loaded(fifo), ValueError, "Expected the name of a model")
kind("model: empty", loaded(lambda w: w.file("empty.pt", b"")), ValueError, "it is empty")
kind(
    "model: text",
    loaded(lambda w: w.file("text.pt", b"no checkpoint")),
    ValueError,
    "text.pt as a CLIP checkpoint: it is not a zip",
)
kind("model: a zip of nothing", loaded(lambda w: empty_zip(w)), ValueError, "zip.pt as a CLIP checkpoint: ")
kind(
    "model: would run code",
    loaded(lambda w: w.checkpoint("runs.pt", {"a": Runs()})),
    ValueError,
    r"its 'a' is a .*open, whose code is not run, not a tensor; save model\.state_dict\(\)",
)
kind(
    "model: a plain pickle that would run code",
    loaded(lambda w: w.file("runs.pkl", pickled(Runs()))),
    ValueError,
    r"runs\.pkl as a CLIP checkpoint: it is not a zip archive",
)
kind(
    "model: a whole model",
    loaded(lambda w: w.checkpoint("whole.pt", torch.nn.Linear(2, 2))),
    ValueError,
    "it holds a torch.nn.*Linear, whose code is not run",
)
kind(
    "model: a list", loaded(lambda w: w.checkpoint("list.pt", [1, 2])), ValueError, "it holds a list, not a state dict"
)
kind(
    "model: numbers for tensors",
    loaded(lambda w: w.checkpoint("int.pt", {"a": 3})),
    ValueError,
    "its 'a' is a int, not a tensor",
)
kind(
    "model: another network's weights",
    loaded(lambda w: w.checkpoint("linear.pt", torch.nn.Linear(2, 2).state_dict())),
    ValueError,
    "linear.pt as a CLIP checkpoint: it lacks 'visual",
)
kind(
    "model: a surplus key",
    loaded(lambda w: w.checkpoint("more.pt", changed(w, extra=torch.ones(1)))),
    ValueError,
    r'Unexpected key\(s\) in state_dict: "extra"',
)
kind(
    "model: a key less",
    loaded(lambda w: w.checkpoint("less.pt", without(w, "visual.bn1.weight"))),
    ValueError,
    "Missing key.*visual.bn1.weight",
)
kind(
    "model: a wrong shape",
    loaded(lambda w: w.checkpoint("shape.pt", changed(w, text_projection=torch.ones(2, 2)))),
    ValueError,
    "shape.pt as a CLIP checkpoint: Error.* size mismatch",
)
kind(
    "model: a giant made of one number",
    loaded(
        lambda w: w.checkpoint("giant.pt", changed(w, **{"token_embedding.weight": torch.ones(1).expand(10**8, 10**4)}))
    ),
    ValueError,
    "giant.pt as a CLIP checkpoint: a tensor of .* is larger than its 1 numbers",
)
kind(
    "model: a giant that holds nothing",
    loaded(lambda w: w.checkpoint("hollow.pt", changed(w, **{"token_embedding.weight": torch.ones(10**10, 0)}))),
    ValueError,
    "hollow.pt as a CLIP ch",
)
kind(
    "model: a NaN",
    loaded(lambda w: w.checkpoint("nan.pt", changed(w, **{"ln_final.weight": torch.full((128,), np.nan)}))),
    ValueError,
    r"nan\.pt as a CLIP checkpoint: its ln_final\.weight holds values that are not finite in float32",
)
kind(
    "model: an infinite number",
    loaded(lambda w: w.checkpoint("inf.pt", changed(w, logit_scale=torch.tensor(np.inf)))),
    ValueError,
    "inf.pt as a CLIP checkpoint: its logit_scale holds values that are not finite in float32",
)
kind("model: cut", loaded(lambda w: w.file("cut.pt", tiny_file()[:1_000_000])), ValueError, "cut.pt as a CLIP")
kind(
    "model: a flipped byte",
    loaded(lambda w: w.file("flip.pt", flipped(tiny_file(), 5_000_000))),
    ValueError,
    "flip.pt as a CLIP checkpoint: .*CRC",
)
kind("model: a compressed bomb", loaded(lambda w: bomb(w)), ValueError, "it holds 1,000,000,000 compressed bytes")
for bad in ("cuda:99", "xpu", "meta", "toaster", "", 1.5, ["cpu"]):
    kind(f"model: device={bad!r}", loaded(lambda w: "tiny", device=bad), ValueError, "Expected (device|a device)")
for bad in ("float8", 32, ["float32"], torch.float32):
    kind(
        f"model: precision={bad!r}",
        loaded(lambda w: "tiny", precision=bad),
        ValueError,
        "Expected precision .*; got",
    )
kind("model: download_root=3", loaded(lambda w: "RN50", download_root=3), TypeError, "download_root is 3, a int")


def weights(name, tensor):
    return loaded(lambda w: w.checkpoint(f"{name}.pt", changed(w, text_projection=tensor)))


WIDE = torch.ones(128, 384)
for dtype in (torch.int8, torch.bool, torch.complex64):
    name = str(dtype).removeprefix("torch.")
    kind(
        f"model: weights of {name}",
        weights(name, WIDE.to(dtype)),
        ValueError,
        f"its 'text_projection' is of kind {name}, not floating point",
    )
kind("model: weights of 1e300", weights("large", WIDE.double() * 1e300), ValueError, "are not finite in float32")
kind("model: weights of 1e-320", weights("small", WIDE.double() * 1e-320), ValueError, "too small for float32")
kind(
    "model: weights of 1e6 as float16",
    loaded(lambda w: w.checkpoint("half.pt", changed(w, text_projection=WIDE * 1e6)), precision="float16"),
    ValueError,
    "its text_projection holds values that are not finite in float16",
)
kind(
    "model: a negative variance",
    loaded(lambda w: w.checkpoint("minus.pt", changed(w, **{"visual.bn1.running_var": torch.full((16,), -1.0)}))),
    ValueError,
    r"its visual\.bn1\.running_var holds a negative variance",
)
kind(
    "model: 20,000 tokens",
    loaded(lambda w: w.checkpoint("tokens.pt", changed(w, positional_embedding=torch.zeros(20_000, 128)))),
    ValueError,
    "its texts have more than 4,096 tokens",
)
kind(
    "model: one content for 400 tensors",
    loaded(lambda w: w.checkpoint("shared.pt", changed(w, **dict.fromkeys(map(str, range(400)), torch.ones(10**6))))),
    ValueError,
    "its tensors are larger than the file",
)


def tiny_file():
    return (Path(helpers.__file__).parent / "weights" / "tiny.pt").read_bytes()


def flipped(content, place):
    damaged = bytearray(content)
    damaged[place] ^= 1
    return bytes(damaged)


def pickled(value):
    return pickle.dumps(value)


def without(w, name):
    return {key: tensor for key, tensor in w.state.items() if key != name}


def empty_zip(w):
    with zipfile.ZipFile(w.folder / "zip.pt", "w"):
        return w.folder / "zip.pt"


def bomb(w):
    with (
        zipfile.ZipFile(w.folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/data/0", "w") as file,
    ):
        for _ in range(1000):
            file.write(bytes(1_000_000))
    return w.folder / "bomb.pt"


# Classes, plots, explanations, exercises, drawings

kind("classes: none", lambda w: helpers.zero_shot_classifier(w.model, []), ValueError, "there are no class names")
kind(
    "classes: None", lambda w: helpers.zero_shot_classifier(w.model, None), TypeError, "None is no list of class names"
)
kind(
    "classes: a number",
    lambda w: helpers.zero_shot_classifier(w.model, ["a", 7]),
    TypeError,
    "class name 1 is 7, a int",
)
kind("classes: no template", lambda w: helpers.zero_shot_classifier(w.model, ["a"], []), ValueError, "are no templates")
kind("classes: template 3", lambda w: helpers.zero_shot_classifier(w.model, ["a"], [3]), TypeError, "template 0 is 3")
kind("classes: no place", lambda w: helpers.zero_shot_classifier(w.model, ["a"], "x"), ValueError, "'x' has no place")
ONE = np.ones((1, 1))
kind(
    "plot: nothing", lambda w: helpers.plot_similarity(np.ones((0, 0)), [], []), ValueError, "there is nothing to draw"
)
kind("plot: NaN", lambda w: helpers.plot_similarity([[np.nan]], ["a"], [CAT]), ValueError, "similarity is nan at")
kind("plot: words", lambda w: helpers.plot_similarity([["a"]], ["a"], [CAT]), TypeError, "which are no real numbers")
kind(
    "plot: a wrong shape", lambda w: helpers.plot_similarity(ONE, ["a", "b"], [CAT]), ValueError, r"has shape \(1, 1\)"
)
kind("plot: a missing image", lambda w: helpers.plot_similarity(ONE, ["a"], ["no.png"]), BAD[0], "no such image")
kind("plot: a label that is none", lambda w: helpers.plot_similarity(ONE, [3], [CAT]), TypeError, "text 0 is 3, a int")
for name, label in (
    ("a formula", "$\\foo$"),
    ("a million letters", "x" * 10**6),
    ("a surrogate", "\ud800"),
    ("a newline and colours", "a\n\x1b[31m"),
):
    kind(
        f"plot: the label is {name}",
        lambda w, label=label: helpers.plot_similarity(ONE, [label], [CAT]).figure.savefig(
            io.BytesIO(), bbox_inches="tight"
        ),
    )
kind(
    "plot: a map of NaN",
    lambda w: helpers.plot_occlusion(Image.new("L", (2, 2)), np.full((2, 2), np.nan)),
    ValueError,
    "occlusion_map is nan at",
)
kind("plot: another image's map", lambda w: helpers.plot_occlusion(CAT, ONE), ValueError, r"the map has shape \(1, 1\)")


def explained(**options):
    return lambda w: helpers.occlusion_maps(w.model, w.preprocess, CAT, "a cat", **options)


def mapped(texts="a cat", **others):
    return lambda w: helpers.patch_similarity(
        others.get("model", w.model), others.get("preprocess", w.preprocess), others.get("image", CAT), texts
    )


kind("patches: no text", lambda w: same(mapped([])(w).shape, (0, 2, 2)))
kind("patches: None", mapped(None), TypeError, "None is no list of texts; give strings")
kind("patches: a text too long", mapped("cat " * 99), ValueError, "text 0 has 101 tokens")
kind("patches: a missing image", mapped(image="a\x1b.png"), BAD[0], r"no such image: a\\x1b\.png")
kind("patches: two images", mapped(image=[CAT, CAT]), BAD[0], "list is neither a path nor a PIL image")
kind("patches: a million long", mapped(image=Image.new("L", (10**6, 1))))
kind("patches: no preprocess", mapped(preprocess=None), TypeError, "preprocess is None; give the one")
kind("patches: another model's preprocess", mapped(preprocess=_transform(224)), ValueError, r"takes \(3, 64, 64\)")
for name, bad in (("None", None), ("another network", torch.nn.Linear(2, 2)), ("model and preprocess", (1, 2))):
    kind(f"patches: no model but {name}", mapped(model=bad), TypeError, "model is .*; give the model alone")


def tuned(pairs=(("a.png", "a cat"), ("b.png", "a dog")), model=None, **options):
    return lambda w: helpers.fine_tune(w.model if model is None else model, w.preprocess, pairs, **options)


for option, bad, error, says in (
    ("steps", 1.5, TypeError, "steps.*1.5"),
    ("steps", -1, ValueError, "steps.*-1"),
    ("batch_size", "64", TypeError, "batch_size.*'64'"),
    ("learning_rate", "1e-5", TypeError, "learning_rate.*'1e-5'"),
    ("learning_rate", np.inf, ValueError, "learning_rate.*inf"),
    ("folder", 3, TypeError, "folder.*3"),
    ("model", (1, 2), TypeError, r"\(1, 2\)"),
):
    kind(f"fine_tune: {option}={bad!r}", tuned(**{option: bad}), error, says)
kind("fine_tune: pairs=None", tuned(None), TypeError, r"pairs as a list of \(image, text\); got None")
kind("fine_tune: colours for a pair", tuned(["\x1b[31m"]), TypeError, r"as pairs\[0\]; got '\\x1b\[31m'")
kind("fine_tune: one text of a million", tuned([("a.png", "x" * 10**6)]), ValueError, "texts in pairs; got only 'xx")
kind("fine_tune: a text of a million", tuned([("a", "x" * 10**6), ("b", "y")]), ValueError, "1,000,000 char")
for new, alpha, error, says in (
    (None, 0.5, TypeError, "None"),
    (..., "a", TypeError, "alpha.*'a'"),
    (..., np.nan, ValueError, "alpha.*nan"),
):
    kind(
        f"interpolate_weights: {new}, {alpha}",
        lambda w, new=new, alpha=alpha: helpers.interpolate_weights(w.model, new and w.model, alpha),
        error,
        says,
    )
kind("loss: arrays", lambda w: helpers.contrastive_loss(ROWS, ROWS), TypeError, "image_features as a tensor; got array")
kind(
    "loss: None",
    lambda w: helpers.contrastive_loss(torch.ones(1, 1), None),
    TypeError,
    "text_features as a tensor; got None",
)


kind("occlusion: patch=0", explained(patch=0), ValueError, "patch is 0; in an image of")
kind("occlusion: patch=1.5", explained(patch=1.5), TypeError, "patch is 1.5, a float")
kind("occlusion: patch=9999", explained(patch=9999), ValueError, "patch is 9999; in an image of")
kind(
    "occlusion: stride=99",
    explained(patch=64, stride=99),
    ValueError,
    "stride is 99; it must be between 1 and the patch",
)
kind("occlusion: a colour", explained(patch=128, colour="no colour"), ValueError, "'no colour'")
kind(
    "occlusion: a large image",
    lambda w: helpers.occlusion_maps(
        w.model, w.preprocess, Image.new("RGB", (3000, 2000)), "a cat", patch=2000, stride=500
    ),
)
kind(
    "words: none",
    lambda w: helpers.word_drops(w.model, w.preprocess, CAT, " "),
    ValueError,
    "the text is ' '; give at l",
)
kind("words: no text", lambda w: helpers.word_drops(w.model, w.preprocess, CAT, 3), TypeError, "text 0 is 3, a int")
kind(
    "words: two images",
    lambda w: helpers.word_drops(w.model, w.preprocess, [CAT, CAT], "a"),
    BAD[0],
    "list is neither",
)
for bad in ("6", "99.1", "6.99", "", None, 6.2, "../x.1"):
    kind(f"exercise: {bad!r}", lambda w, bad=bad: helpers.check(bad, 1), ValueError, "no such exercise: ")
kind("exercise: an odd answer", lambda w: same(type(helpers.check("1.1", object())), Verdict))
kind(
    "drawing: unknown", lambda w: helpers.course.drawings.draw("unicorn"), ValueError, "no drawing is called 'unicorn'"
)

# Folders and their indexes


def index_of(folder, **options):
    return lambda w: helpers.FolderIndex(folder(w), w.model, w.preprocess, **options)


def damaged(name, content):
    """An index one file of which was replaced: the search must say so, and the next update must mend it."""

    def do(w):
        index = w.gallery("damaged")
        (index.store.place / name).write_bytes(content)
        try:
            w.gallery("damaged").search("a cat")
        finally:
            if name == "about.json":
                (index.store.place / name).unlink()
            mended = w.gallery("damaged")
            mended.update()
            assert mended.search("a cat", k=1)[0].path.name == "cat.png"

    return do


def full_disk(w):
    """Let no file grow beyond a hundred bytes while one more image is indexed."""
    index = w.gallery("full")
    kept = dict(index.store.files)
    shutil.copy(IMAGES / "sun.png", index.folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        index.update()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert index.store.files == kept
        index.update()
        assert len(index.store.files) == 4
        (index.folder / "sun.png").unlink()
        index.update()


def two_writers(w):
    index = w.gallery("busy")
    with FileLock(index.store.place / "lock"):
        index.update()


def link_in_index(w):
    index = w.gallery("link")
    log = index.store.place / "files.jsonl"
    precious = w.file("precious", log.read_bytes())
    log.unlink()
    log.symlink_to(precious)
    shutil.copy(IMAGES / "sun.png", index.folder)
    try:
        index.update()
    finally:
        log.unlink()
        shutil.copy(precious, log)
        (index.folder / "sun.png").unlink()


def clock_set_back(w):
    index = w.gallery("clock")
    shutil.copy(IMAGES / "sun.png", index.folder / "dog.png")
    os.utime(index.folder / "dog.png", (0, 0))
    same(index.update().encoded, 1)
    same(index.search("the sun", k=1)[0].path.name, "dog.png")


def deep_folder(w):
    """Nest folders deeper than Python calls itself. They go by hand: shutil.rmtree, and so pytest, would not manage."""
    here, depth = Path.cwd(), 1100
    os.chdir(w.gallery("deep").folder)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        shutil.copy(IMAGES / "sun.png", "sun.png")
        same(w.gallery("deep").update().encoded, 1)
        Path("sun.png").unlink()
    finally:
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(here)


def gone(w):
    index = w.gallery("gone")
    shutil.rmtree(index.folder)
    index.update()


def odd_names(w):
    """Names that would act on a terminal are found, and are written harmlessly where we write them."""
    index = w.gallery("names")
    shutil.copy(CAT, index.folder / "\x1b[31m.png")
    (index.folder / "b\n\u202e.png").write_bytes(b"")
    index.update()
    assert index.broken["b\n\u202e.png"].startswith(r"b\n\u202e.png can't be read as an image: ")
    assert index.folder / "\x1b[31m.png" in [match.path for match in index.search("a cat", k=2)]
    assert "\x1b" not in repr(index.search("a cat", k=2))


kind("folder: missing", index_of(lambda w: w.folder / "missing"), ValueError, "no such folder: .*missing")
kind("folder: a file", index_of(lambda w: CAT), ValueError, r"no such folder: .*cat\.png")
kind("folder: None", index_of(lambda w: None), TypeError, "folder is None, a NoneType; it must be a path")
kind("folder: colours", index_of(lambda w: "\x1b[31m"), ValueError, r"no such folder: .*\\x1b\[31m")
kind("folder: empty", lambda w: empty_folder(w).search("a cat"), ValueError, r"no image of .* call update\(\) first")
kind("folder: 1,100 deep", deep_folder)
kind("folder: gone", gone, ValueError, "no such folder: .*gone")
kind("folder: odd names", odd_names)
kind("index: batch_size=0", index_of(lambda w: w.folder, batch_size=0), ValueError, "batch_size is 0")
kind("index: batch_size=None", index_of(lambda w: w.folder, batch_size=None), TypeError, "batch_size is None")
kind("index: index_folder=3", index_of(lambda w: w.folder, index_folder=3), TypeError, "index_folder is 3, a int")
kind(
    "index: model and preprocess together",
    lambda w: helpers.FolderIndex(w.folder, (w.model, 1), w.preprocess),
    TypeError,
    "give the model alone",
)
kind(
    "index: cannot be written",
    lambda w: w.gallery("sound", index_folder=CAT / "x").update(),
    PermissionError,
    "the index can't be written to .*name another place with index_folder",
)
kind(
    "index: full disk", full_disk, OSError, r"features\.npy can't be written now \(File too large\): what was saved is"
)
kind("index: two writers", two_writers, RuntimeError, "another process is writing to .*: try again")
kind("index: a link in it", link_in_index, PermissionError, r"files\.jsonl is a symbolic link, and nothing is written")
kind("index: the clock set back", clock_set_back)
kind("index: log lost", damaged("files.jsonl", b""), ValueError, r"no image of .* is in the index: call update\(\)")
kind(
    "index: log of noise",
    damaged("files.jsonl", bytes(range(256)) * 9),
    ValueError,
    r"files\.jsonl is damaged at byte 0",
)
kind("index: log of another kind", damaged("files.jsonl", b'{"path": "a"}\n'), ValueError, "is damaged at byte 0: call")
kind(
    "index: features lost", damaged("features.npy", b""), ValueError, r"features\.npy is damaged at row 0: call update"
)
kind("index: features of zeros", damaged("features.npy", bytes(9000)), ValueError, "is damaged at row 0")
kind(
    "index: about of noise", damaged("about.json", b"\xff\x00"), ValueError, r"about\.json is damaged: delete this file"
)
kind("index: another version's", damaged("about.json", b'{"format": 3}'), ValueError, "is an index of format 3, and")
kind(
    "index: another model's",
    damaged("about.json", b'{"format": 2, "id": "x", "model_sha256": "y"}'),
    ValueError,
    r"about\.json is damaged: delete this file",
)
for question, error, says in (
    ({}, ValueError, "give a text, an image, or both"),
    ({"text": "a", "k": 0}, ValueError, "k is 0; it must be at least 1"),
    ({"text": "a", "k": 2.0}, TypeError, "k is 2.0, a float"),
    ({"text": "a", "k": "2"}, TypeError, "k is '2', a str"),
    ({"text": "a", "above": "0.3"}, TypeError, "above is '0.3', a str"),
    ({"text": "a", "above": float("nan")}, ValueError, "above is nan; it must be finite"),
    ({"text": [["a"]]}, TypeError, r"text 0 is \['a'\], a list"),
    ({"text": b"a"}, TypeError, r"text 0 is b'a', a bytes"),
    ({"text": 3}, TypeError, "text 0 is 3, a int"),
    ({"text": []}, ValueError, "give a text, an image, or both"),
    ({"text": [("a",)]}, TypeError, r"\('a',\) is no pair: give \(text, weight\) or \(image, weight\)"),
    ({"text": [("a", "b")]}, TypeError, "weight is 'b', a str; it must be a number"),
    ({"text": [("a", float("inf"))]}, ValueError, "weight is inf; it must be finite"),
    ({"text": [("a", 0)]}, ValueError, "the parts of the question cancel each other out"),
    ({"text": ["a", ("a", -1)]}, ValueError, "the parts of the question cancel each other out"),
    ({"image": [3]}, helpers.ImageError, "a int is neither a path nor a PIL image"),
    ({"text": "cat " * 99}, ValueError, "text 0 has 101 tokens"),
    ({"image": "missing.png"}, helpers.ImageError, "no such image: missing.png"),
    ({"image": np.zeros((4, 4, 3))}, helpers.ImageError, "ndarray is neither a path nor a PIL image"),
):
    kind(f"search: {str(question)[:40]}", searched(**question), error, says)


def empty_folder(w):
    (w.folder / "nothing").mkdir(exist_ok=True)
    return helpers.FolderIndex(w.folder / "nothing", w.model, w.preprocess)


@pytest.mark.skipif(sys.platform != "linux", reason="its pipes, devices and limits are those of Linux")
@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(("do", "error", "message"), KINDS)
def test_bad_input_is_answered_as_documented(w, do, error, message):
    if error is None:
        do(w)
        return
    with pytest.raises(error, match=message) as caught:
        do(w)
    said = str(caught.value)
    assert caught.type in {error, *error.__subclasses__()}
    assert said.isprintable()
    assert len(said) < 1000
    assert not Path("/tmp/written-by-a-checkpoint").exists()
    assert not plt.get_fignums()  # a plot that failed leaves none


def test_there_are_more_than_a_hundred_kinds_and_no_two_have_one_name():
    names = [row.id for row in KINDS]
    assert len(names) == len(set(names)) > 200


class Limits:
    """Ends the process when a kind takes more processor time or memory than it may, or waits for ever."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEGABYTES * 1_000_000, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, 60)
        yield
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="its pipes, devices and limits are those of Linux")
def test_no_kind_takes_more_than_five_seconds_or_500_megabytes():
    options = "-q -p no:cacheprovider -p no:nbval -o addopts= -k answered_as_documented".split()
    run = (
        f"import pytest, tests.test_bad_input as t; raise SystemExit(pytest.main({[*options, __file__]}, [t.Limits()]))"
    )
    result = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
