"""Bad input is answered as documented: with one printable line that names it.

`KINDS` is the table. Each row is a thing to do and the error that must come, or None where the odd thing is in order.
"""

import io
import os
import pickle
import random
import shutil
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
from helpers import course
from helpers.course.exercises import Verdict
from tests.conftest import IMAGES

mpl.use("agg")
CAT = IMAGES / "cat.png"
PNG, JPEG = CAT.read_bytes(), (IMAGES / "maze1.jpeg").read_bytes()
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


def searched(**query):
    return lambda w: w.gallery("sound").search(**query)


def changed(w, **tensors):
    return {**w.state, **tensors}


class Runs:
    def __reduce__(self):
        return (open, ("/tmp/written-by-a-checkpoint", "w"))


# Images

BAD = (helpers.ImageError, "^Cannot read .*: ")
PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n"


def png(width, height, depth=8):
    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def program_in_iptc():
    """Write an EPS file inside IPTC data, which Pillow opens by whatever reads it."""

    def field(record, number, content):
        return bytes([0x1C, record, number]) + len(content).to_bytes(2, "big") + content

    sizes = [field(3, 20, b"\0\x09"), field(3, 30, b"\0\x09")]
    return b"".join([field(3, 60, b"\3\1"), field(3, 65, b"\1"), *sizes, field(3, 120, b"\5"), field(8, 10, PROGRAM)])


def fifo(w):
    if not (w.folder / "pipe.png").exists():
        os.mkfifo(w.folder / "pipe.png")
    return w.folder / "pipe.png"


def circle(w):
    for link, target in (("a.png", "b.png"), ("b.png", "a.png")):
        if not (w.folder / link).is_symlink():
            (w.folder / link).symlink_to(w.folder / target)
    return w.folder / "a.png"


def odd_tag(w):
    image = Image.new("RGB", (16, 8), "red")
    image.getexif()[0x0112], image.getexif()[0x010E] = 6, object()
    return image


def closed_image(w):
    image = Image.open(CAT)
    image.close()
    return image


def same(found, expected):
    assert found == expected


for name, content in {
    "zero.png": b"",
    "page.jpg": b"<!doctype html><p>404",
    "zeros.tga": bytes(10_000),
    "noise.jpg": random.Random(0).randbytes(10_000),
    "half.png": PNG[: len(PNG) // 2],
    "half.jpg": JPEG[: len(JPEG) // 2],
    "no-end.jpg": JPEG[:-2],
    "head.png": PNG[:33],
    "no-frame.gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "side-of-0.png": png(0, 100),
    "negative-sides.png": png(2**32 - 1, 2**32 - 1),
    "unknown-depth.png": png(4, 4, depth=77),
    "a\x1b[31m.png": b"",
    "a\nb.png": b"",
}.items():
    kind(f"image: {name!a}", opened(lambda w, name=name, content=content: w.file(name, content)), *BAD)
for name, content in {"eps.jpg": PROGRAM, "iptc.jpg": program_in_iptc()}.items():
    file = opened(lambda w, name=name, content=content: w.file(name, content))
    kind(f"image: {name}", file, BAD[0], "not one in these formats: JPEG, PNG, ")
kind("image: a bomb", opened(lambda w: w.file("bomb.png", png(60_000, 60_000))), BAD[0], "Raise PIL.Image.MAX_IMAGE_PI")
kind("image: PNG named .jpg", opened(lambda w: w.file("wrong.jpg", PNG)))
kind("image: JPEG without suffix", opened(lambda w: w.file("bare", JPEG)))
kind("image: Lab", opened(lambda w: w.image_file("lab.tif", Image.new("LAB", (8, 8)), "TIFF")))
kind("image: closed", opened(closed_image), *BAD)
kind(
    "image: NaN",
    opened(lambda w: Image.new("F", (8, 8), np.nan)),
    BAD[0],
    "8×8 image: 64 of its pixel values are not fin",
)
for bad, says in {"URL": "https://x.org/a.png", "missing": "missing.png", "right to left": "a\u202egnp.exe"}.items():
    kind(f"image: {bad}", opened(lambda w, says=says: says), BAD[0], "there is no such file")
for bad in (np.zeros((4, 4, 3)), torch.zeros(3, 4, 4), [CAT], None, 3, PNG):
    refused = opened(lambda w, bad=bad: bad)
    kind(
        f"image: {type(bad).__name__}",
        refused,
        BAD[0],
        "^Cannot read .*: expected a path, an open binary file or a PIL",
    )
for name, make in {
    "no name": lambda w: "",
    "folder": lambda w: w.folder,
    "pipe": fifo,
    "device": lambda w: "/dev/zero",
}.items():
    kind(f"image: {name}", opened(make), BAD[0], "it is a folder or a device, not a file")
kind("image: below a file", opened(lambda w: CAT / "x.png"), BAD[0], "Not a directory")
kind("image: a name too long", opened(lambda w: "x" * 100_000), BAD[0], "xxx….* name too long")
kind("image: NUL in its name", opened(lambda w: "a\0b"), BAD[0], r"a\\x00b: .*null")
kind("image: a circle of links", opened(circle), BAD[0], r"a\.png: Too many levels")
kind("image: undecodable name", opened(lambda w: w.file(os.fsdecode(b"\xff.png"), b"")), BAD[0], r"\\udcff\.png")
kind("image: open but empty", opened(lambda w: io.BytesIO()), BAD[0], "the opened file: ")
kind("image: open as text", opened(lambda w: io.StringIO("text")), BAD[0], "the opened file: ")
kind("image: an odd EXIF tag", lambda w: same(helpers.open_image(odd_tag(w)).size, (8, 16)))
RED = Image.new("RGB", (16, 8), "red")
for seed in (0, 1):
    exif = b"Exif\0\0MM\0*\0\0\0\x08" * (1 - seed) + random.Random(seed).randbytes(60)
    kind(f"image: EXIF of noise {seed}", opened(lambda w, exif=exif: w.image_file("exif.jpg", RED, "JPEG", exif=exif)))
kind(
    "image: min_side is text", lambda w: helpers.open_image(CAT, "9"), TypeError, r"min_side to be an integer; got str"
)
kind("image: min_side is 0", lambda w: helpers.open_image(CAT, 0), ValueError, "min_side to be at least 1; got 0")

# Encoding images and texts


def encode(images=CAT, **options):
    def do(w):
        pair = {"model": w.model, "preprocess": w.preprocess}
        return helpers.encode_images(images=images, **{**pair, **options})

    return do


def double(w):
    helpers.encode_texts(helpers.load("tiny")[0].double(), "a cat")


def on_meta(w):
    helpers.encode_texts(helpers.load("tiny")[0].to("meta"), "a cat")


def quantized(w):
    model = torch.ao.quantization.quantize_dynamic(w.model, {torch.nn.Linear}, dtype=torch.qint8)
    helpers.encode_images(model, w.preprocess, CAT)


def in_training(w):
    model, preprocess = helpers.load("tiny")
    before = {name: tensor.clone() for name, tensor in model.train().state_dict().items()}
    try:
        helpers.encode_images(model, preprocess, CAT)
    finally:
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


kind("images: none", lambda w: same(encode([])(w).shape, (0, 384)))
kind("images: one open file", encode(io.BytesIO(PNG)))
kind("images: None", encode(None), TypeError, r"^Expected an image path, a PIL image, or a list of them; got None\.$")
kind("images: a number", encode(5), TypeError, r"^Expected an image path, a PIL image, or a list.*; got int \(5\)\.$")
kind("images: all bad", encode(["a.png", 3]), BAD[0], r"any of the 2 images: .*a\.png: there is no .*; Cannot read int")
kind("images: model and preprocess", encode(model=(1, 2)), TypeError, "^Expected a CLIP model; got")
kind("images: no preprocess", encode(preprocess=None), TypeError, "^Expected preprocess to be a function; got None")
for name, other in {"another model's": _transform(224), "no": lambda image: image}.items():
    kind(f"images: {name} preprocess", encode(preprocess=other), ValueError, r"to return \(3, 64, 64\); got \(.* Pass ")
for bad, error, says in (
    (0, ValueError, "be at least 1; got 0"),
    ("8", TypeError, r"be an integer; got str \('8'\)"),
    (1.5, TypeError, r"be an integer; got float \(1\.5\)"),
    (None, TypeError, "be an integer; got None"),
    (True, TypeError, r"be an integer; got bool \(True\)"),
    (2**70, ValueError, "be between 1 and 9"),
):
    kind(f"images: batch_size={bad!r}", encode(batch_size=bad), error, f"^Expected batch_size to {says}")
kind("images: a model in training", in_training, ValueError, r"model\.eval\(\)")
kind(
    "texts: float64",
    double,
    ValueError,
    r"^Expected .* in float32, as in clip; got torch\.float64\. Call model\.float",
)
kind(
    "texts: a model without numbers", on_meta, ValueError, "^Expected a model with weights; got one on the device .meta"
)
kind("images: a quantized pooling", quantized, TypeError, "^Expected tensors in visual.attnpool; got quantized layers")

kind("text: empty", lambda w: same(encoded("")(w).shape, (1, 384)))
kind("text: none", lambda w: same(encoded([])(w).shape, (0, 384)))
kind("text: blanks", encoded(" \t\n"))
kind("text: lone surrogate", encoded("a \ud800 cat"))
kind("text: control characters", encoded("\0\x1b[31m\x7f\ufeff\u202e"))
kind("text: None", encoded(None), TypeError, r"^Expected a text or a list of them; got None\.$")
for i, bad in enumerate((b"a cat", None, ["a", "b"], np.zeros((99, 99)))):
    kind(f"text: odd {i}", encoded(["a", bad]), TypeError, "^Expected text 1 to be a string; got ")
kind("text: too long", encoded("cat \x1b[31m" * 99), ValueError, "at most 77 tokens; text 0 has .*cut after «[^\x1b]*»")
kind(
    "text: a million letters", encoded("x" * 10**6, truncate=True), ValueError, "at most 10,000 characters; text 0 has"
)
kind(
    "text: the end token inside", encoded("a<|ENDOFTEXT|> b"), ValueError, "reads nothing after its end token.* text 0"
)
kind("text: no model", lambda w: helpers.encode_texts("tiny", "a cat"), TypeError, "'tiny'")

# Features and similarities: tests/test_similarity.py has the odd types and layouts

ROWS, NAN = np.eye(3, dtype=np.float32), np.array([[0.1, np.nan]])
for bad, error, says in (
    ([[1e300, 1e300]], ValueError, "direction; row 0 has length inf"),
    ("features", TypeError, "Expected features to hold real numbers; got an array of <U8"),
    ([[1, 2], [3]], TypeError, "Expected features to be an array; NumPy cannot convert it"),
    ([[1j]], TypeError, "got an array of complex128"),
    (1.0, ValueError, r"Expected features to have 1 to 3 dimensions; got shape \(\)"),
    (torch.ones(2, 3, requires_grad=True), TypeError, "NumPy cannot convert it: .*requires grad"),
):
    kind(f"features: {type(bad).__name__}, {says[-20:]}", lambda w, bad=bad: helpers.normalize(bad), error, says)
kind("features: none", lambda w: same(helpers.cosine_similarity(np.ones((0, 3)), ROWS).shape, (0, 3)))
for options, error, says in (
    ({"similarity": NAN}, ValueError, r"Expected similarity to be finite; got nan at \(0, 1\)"),
    ({"axis": 2}, ValueError, "Expected axis to be between -2 and 1; got 2"),
    ({"axis": None}, TypeError, "Expected axis to be an integer; got None"),
    ({"similarity": np.ones((0, 3))}, ValueError, "Expected candidates along axis 0"),
    ({"logit_scale": np.nan}, ValueError, "Expected logit_scale to be finite; got nan"),
    ({"logit_scale": "100"}, TypeError, "Expected logit_scale to be a number; got str"),
):
    call = lambda w, options=options: helpers.probabilities(**{"similarity": ROWS, **options})  # noqa: E731
    kind(f"probabilities: {str(options)[:30]}", call, error, says)
kind(
    "top_k: NaN", lambda w: helpers.top_k(NAN, 1), ValueError, r"Expected similarity to be finite; got nan at \(0, 1\)"
)
kind("top_k: k=2.0", lambda w: helpers.top_k(ROWS, 2.0), TypeError, r"Expected k to be an integer; got float \(2\.0\)")

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
    "giant.pt as a CLIP checkpoint: a tensor of shape .* needs more than the 1 values",
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
kind(
    "model: download_root=3",
    loaded(lambda w: "RN50", download_root=3),
    TypeError,
    "Expected download_root to be a path; got int",
)


def weights(name, tensor):
    return loaded(lambda w: w.checkpoint(f"{name}.pt", changed(w, text_projection=tensor)))


WIDE = torch.ones(128, 384)
for dtype in (torch.int8, torch.bool, torch.complex64):
    name = str(dtype).removeprefix("torch.")
    kind(
        f"model: weights of {name}",
        weights(name, WIDE.to(dtype)),
        ValueError,
        f"its 'text_projection' has type {name}, not floating point",
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
for count in (0, 2, 20_000):
    kind(
        f"model: {count:,} tokens",
        loaded(lambda w, n=count: w.checkpoint("tokens.pt", changed(w, positional_embedding=torch.zeros(n, 128)))),
        ValueError,
        f"its context length is {count:,} tokens, not 3 to 4,096",
    )
for count in (0, 49_407):
    kind(
        f"model: a vocabulary of {count:,}",
        loaded(lambda w, n=count: w.checkpoint("few.pt", changed(w, **{"token_embedding.weight": torch.ones(n, 128)}))),
        ValueError,
        f"its vocabulary has {count:,} tokens, fewer than CLIP's 49,408",
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


# Classes, plots, explanations


def classes(names=("a",), **options):
    return lambda w: helpers.zero_shot_classifier(w.model, names, **options)


def plot(similarity=((0.5,),), texts=("a",), images=(CAT,)):
    return lambda w: helpers.plot_similarity(similarity, texts, images).figure.savefig(io.BytesIO())


def explained(texts="a cat", **options):
    return lambda w: helpers.occlusion_maps(w.model, w.preprocess, CAT, texts, **options)


def mapped(texts="a cat", **others):
    def do(w):
        given = {"model": w.model, "preprocess": w.preprocess, "image": CAT, **others}
        return helpers.patch_similarity(texts=texts, **given)

    return do


def words(image, text):
    return lambda w: helpers.word_drops(w.model, w.preprocess, image, text)


kind("classes: None", classes(None), TypeError, "Expected a class name or a list of them; got None")
kind("classes: template 3", classes(templates=[3]), TypeError, r"Expected template 0 to be a string; got int \(3\)")
kind("plot: nothing", plot(np.ones((0, 0)), [], []), ValueError, "Expected at least one text and one image; got a sim")
kind("plot: NaN", plot([[np.nan]]), ValueError, "Expected similarity to be finite")
kind("plot: words", plot([["a"]]), TypeError, "Expected similarity to hold real numbers")
kind("plot: a missing image", plot(images=["no.png"]), BAD[0], "there is no such file")
kind("plot: a label that is none", plot(texts=[3]), TypeError, "Expected text 0 to be a string")
for name, label in {"long": "x" * 10**6, "a surrogate": "\ud800", "with colours": "a\n\x1b[31m"}.items():
    kind(f"plot: a label {name}", plot(texts=[label]))
gap = np.full((2, 2), np.nan)
kind("plot: a map of NaN", lambda w: helpers.plot_occlusion(Image.new("L", (2, 2)), gap), ValueError, "to be finite")
kind("patches: no text", lambda w: same(mapped([])(w).shape, (0, 2, 2)))
kind("patches: None", mapped(None), TypeError, "Expected a text or a list of them; got None")
kind("patches: two images", mapped(image=[CAT, CAT]), BAD[0], "expected a path, an open")
kind("patches: no preprocess", mapped(preprocess=None), TypeError, "^Expected preprocess to be a function; got None")
kind("patches: no model", mapped(model=None), TypeError, "None")
kind("occlusion: patch=0", explained(patch=0), ValueError, "Expected patch to be between 1 and 256; got 0")
kind("occlusion: patch=1.5", explained(patch=1.5), TypeError, "Expected patch to be an integer; got float")
kind(
    "occlusion: stride=99", explained(patch=64, stride=99), ValueError, "Expected stride to be between 1 and 64; got 99"
)
kind("occlusion: a colour", explained(patch=128, colour="no colour"), ValueError, "'no colour'")
kind("words: no text", words(CAT, 3), TypeError, "Expected text 0 to be a string; got int")


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
kind("fine_tune: a text of a million", tuned([("a", "x" * 10**6), ("b", "y")]), ValueError, "text 0 has 1,000,000")
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


for bad in ("6", "99.1", "6.99", "", None, 6.2, "../x.1"):
    kind(f"exercise: {bad!r}", lambda w, bad=bad: course.check(bad, 1), ValueError, "Expected lesson and number")
kind("exercise: an odd answer", lambda w: same(type(course.check("1.1", object())), Verdict))
kind("drawing: unknown", lambda w: course.drawings.draw("unicorn"), ValueError, "the name of a drawing; got 'unicorn'")

# Folders and their indexes


def index_of(folder, **options):
    return lambda w: helpers.FolderIndex(folder(w), w.model, w.preprocess, **options)


def place_of(index):
    (place,) = (index.folder / ".clip-index").glob("*.sqlite")
    return place


def damaged(change):
    """An index whose file was changed: the search must refuse it, and the next update must repair it."""

    def do(w):
        place = place_of(w.gallery("damaged"))
        place.write_bytes(change(place.read_bytes()))
        try:
            w.gallery("damaged").search("a cat")
        finally:
            repaired = w.gallery("damaged")
            repaired.update()
            assert repaired.search("a cat", k=1)[0].path.name == "cat.png"

    return do


def full_disk(w):
    """Let no file grow beyond ten thousand bytes while one more image is indexed."""
    import resource  # Unix only

    index = w.gallery("full")
    kept = index.paths
    shutil.copy(IMAGES / "sun.png", index.folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        index.update()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert index.paths == w.gallery("full").paths == kept
        index.update()
        assert len(index.paths) == 4
        (index.folder / "sun.png").unlink()
        index.update()


def two_writers(w):
    index = w.gallery("busy")
    with FileLock(place_of(index).with_suffix(".lock")):
        index.update()


def link_in_index(w):
    index = w.gallery("link")
    place = place_of(index)
    precious = w.file("precious", place.read_bytes())
    place.unlink()
    place.symlink_to(precious)
    try:
        index.update()
    finally:
        place.unlink()
        shutil.copy(precious, place)


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
    assert index.errors["b\n\u202e.png"].isprintable()
    assert index.folder / "\x1b[31m.png" in [match.path for match in index.search("a cat", k=2)]
    assert "\x1b" not in repr(index.search("a cat", k=2))


kind("folder: missing", index_of(lambda w: w.folder / "missing"), ValueError, "got .*missing, which is not one")
kind("folder: a file", index_of(lambda w: CAT), ValueError, r"got .*cat\.png, which is not one")
kind("folder: None", index_of(lambda w: None), TypeError, "folder")
kind("folder: colours", index_of(lambda w: "\x1b[31m"), ValueError, r"got .*\\x1b\[31m, which is not one")
kind(
    "folder: empty",
    lambda w: empty_folder(w).search("a cat"),
    ValueError,
    r"images of .* in the index; got none\. .* call update\(\) first",
)
kind("folder: 1,100 deep", deep_folder)
kind("folder: gone", gone, ValueError, "got .*gone, which is not one")
kind("folder: odd names", odd_names)
kind("index: batch_size=0", index_of(lambda w: w.folder, batch_size=0), ValueError, "batch_size")
kind("index: batch_size=None", index_of(lambda w: w.folder, batch_size=None), TypeError, "batch_size")
kind("index: index_folder=3", index_of(lambda w: w.folder, index_folder=3), TypeError, "index_folder")
kind(
    "index: model and preprocess together",
    lambda w: helpers.FolderIndex(w.folder, (w.model, 1), w.preprocess),
    TypeError,
    "Pass the model alone",
)
kind(
    "index: cannot be written",
    lambda w: w.gallery("sound", index_folder=CAT / "x").update(),
    PermissionError,
    "Cannot write the index to .*Set index_folder to another folder",
)
kind("index: full disk", full_disk, OSError, r"Cannot write .*\.sqlite \(.*\). What was saved is safe")
kind("index: two writers", two_writers, RuntimeError, "Another process is writing to .*. Try again")
kind("index: a link in it", link_in_index, PermissionError, r"\.sqlite is a symbolic link")
kind("index: the clock set back", clock_set_back)
kind("index: lost", damaged(lambda content: b""), ValueError, r"images of .* in the index; got none\.")
kind("index: noise", damaged(lambda content: bytes(range(256)) * 99), ValueError, r"is damaged \(.*Call update\(\)")
kind("index: half of it", damaged(lambda content: content[: len(content) // 2]), ValueError, r"is damaged \(")
kind("index: zeros", damaged(lambda content: bytes(len(content))), ValueError, r"is damaged \(")
for query, error, says in (
    ({}, ValueError, "Pass a text, an image, or both"),
    ({"text": "a", "k": 0}, ValueError, "k"),
    ({"text": "a", "k": 2.0}, TypeError, "k"),
    ({"text": "a", "k": "2"}, TypeError, "k"),
    ({"text": "a", "threshold": "0.3"}, TypeError, "threshold"),
    ({"text": "a", "threshold": float("nan")}, ValueError, "threshold"),
    ({"text": [["a"]]}, TypeError, "text 0"),
    ({"text": b"a"}, TypeError, "text 0"),
    ({"text": 3}, TypeError, "text"),
    ({"text": []}, ValueError, "Pass a text, an image, or both"),
    ({"text": [("a",)]}, TypeError, r"Expected \(text, weight\) or \(image, weight\); got \('a',\)"),
    ({"text": [("a", "b")]}, TypeError, "weight"),
    ({"text": [("a", float("inf"))]}, ValueError, "weight"),
    ({"text": [("a", 0)]}, ValueError, "The parts of the query cancel each other out"),
    ({"text": ["a", ("a", -1)]}, ValueError, "The parts of the query cancel each other out"),
    ({"image": [3]}, helpers.ImageError, r"Cannot read int \(3\)"),
    ({"text": "cat " * 99}, ValueError, "at most 77 tokens"),
    ({"image": "missing.png"}, helpers.ImageError, "Cannot read missing.png"),
    ({"image": np.zeros((4, 4, 3))}, helpers.ImageError, "ndarray"),
):
    kind(f"search: {str(query)[:40]}", searched(**query), error, says)


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
