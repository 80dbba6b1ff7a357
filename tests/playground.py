"""The playground's CLIP in a real browser against helpers: ``make test-site``.

A plain ``pytest`` does not collect this file, for it needs Chromium and Node.js.
"""

import base64
import csv
import functools
import html.entities
import json
import random
import shutil
import subprocess
import threading
import unicodedata
from http.server import ThreadingHTTPServer
from pathlib import Path

import clip
import ftfy
import numpy as np
import pytest
from clip.simple_tokenizer import SimpleTokenizer
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import helpers
from docs.playground import build as playground
from helpers.images import cut_strip, open_image
from tests.conftest import IMAGES
from tests.in_browser import Quiet

STRINGS = 5000
CAPTIONS = {row["file"]: row["caption"] for row in csv.DictReader((IMAGES / "captions.csv").open(encoding="utf-8"))}
BLANK = '<!doctype html><title>parity</title><link rel="icon" href="data:,">'
ODD = [(1, 1), (1, 500), (500, 1), (63, 65), (64, 64), (65, 64), (200, 97), (97, 200), (1000, 3), (3, 1000)]
ODD += [(100, 200), (100, 201), (30, 90), (64, 129), (65, 131), (70, 69), (66, 67), (640, 427)]
EXACT, ROUNDED = 0, 2  # of 255: a canvas rounds the colours of half transparent pixels by 1, and resizing adds some up
IMAGE, TEXT = 1e-6, 1e-4  # most cosine distance from what PyTorch computes, for the course's images and captions
ANYTHING = 2  # times that for noise and for tokens that no caption of the training had: 1 text of 200 is over 1e-4
SCRIPTS = {  # where each has its letters
    "Greek": (0x370, 0x400), "Cyrillic": (0x400, 0x530), "Armenian": (0x531, 0x588), "Hebrew": (0x5D0, 0x5EB),
    "Arabic": (0x620, 0x6D4), "Devanagari": (0x900, 0x980), "Tamil": (0xB80, 0xC00), "Thai": (0xE01, 0xE5C),
    "Georgian": (0x10A0, 0x1100), "Ethiopic": (0x1200, 0x1380), "Cherokee": (0x13A0, 0x1400), "Khmer": (0x1780, 0x17F0),
    "Mongolian": (0x1820, 0x1879), "Latin": (0x100, 0x250), "Vietnamese": (0x1EA0, 0x1F00),
    "old Greek": (0x1F00, 0x2000),
    "kana": (0x3041, 0x3100), "Han": (0x4E00, 0x9000), "Hangul": (0xAC00, 0xD7A4), "Gothic": (0x10330, 0x1034B),
    "Deseret": (0x10400, 0x10450), "mathematical": (0x1D400, 0x1D7FF), "numbers": (0x2150, 0x218A),
    "circled": (0x2460, 0x2500), "wide": (0xFF01, 0xFFDC), "presentation": (0xFB00, 0xFB50),
}  # fmt: skip
EMOJI = ["😀", "👍🏽", "👩‍🚀", "🏳️‍🌈", "🇯🇵", "❤️", "🐈‍⬛", "1️⃣", "☕", "🫠", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "✔", "→", "½", "№", "™"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u3000"]
CONTROLS = ["\0", "\x07", "\x1b[31m", "\x1b[0;1m", "\x7f", "\u200b", "\u200d", "\u202e", "\u206a", "\ufeff", "\ufffc"]
QUOTES = ["'s", "'T", "'re", "‘ve’", "“m”", "'ll", "'ſ", "ʼd", "'", '"']
QUOTES += ["`", "«»", "…", "--", "—", "?!", "<", ">", "&", "_"]
LETTERS = ["ﬁ", "ﬂ", "ﬃ", "ﬅ", "ĳ", "Ǆ", "ŉ", "ß", "ẞ", "İ"]
LETTERS += ["ı", "Σ", "ς", "K", "Å", "é", "e\u0301", "ㅎ", "ﾊﾟ", "\u0345"]


@functools.cache
def texts() -> dict[str, list[int] | None]:
    """Return 5,000 texts, the same each time and none that ftfy takes for wrongly decoded, and their tokens by clip.

    Of a text that helpers refuses, because it is too long or ends twice, the tokens are None.
    """
    rng = random.Random(0)
    tokenizer = SimpleTokenizer()
    words = [tokenizer.decode([number]) for number in rng.sample(range(49406), 1500)]
    letters = {
        name: [chr(code) for code in range(*around) if unicodedata.category(chr(code))[0] in "LMN"]
        for name, around in SCRIPTS.items()
    }
    names = sorted(html.entities.html5)
    entities = [f"&{name}" for name in names] + [f"&{name.upper()}" for name in names]
    entities += [f"&amp;{name}" for name in rng.sample(names, 200)] + [
        "&#65;",
        "&#x1F600;",
        "&#128;",
        "&#0;",
        "&#xD800;",
    ]
    entities += ["&#1;", "&#99999999;", "&#x", "&#;", "&notit;", "&amp;amp;amp;lt;", "&constructor;", "&ampersand"]
    meant = ["<\n&EACUTE;", "< &EACUTE;", "<&amp;amp;lt;", "&EACUTE;\n<"]  # ftfy leaves entities after a "<" alone

    def word() -> str:
        script = letters[rng.choice(list(letters))]
        return "".join(rng.choices(script, k=rng.randint(1, 8)))

    def mixture() -> str:
        kinds = [words, entities, EMOJI, SPACES, CONTROLS, QUOTES, LETTERS, ["a", "Photo", "of", "3", "42"]]
        parts = [word() if rng.random() < 0.2 else rng.choice(rng.choice(kinds)) for _ in range(rng.randint(2, 12))]
        return rng.choice(["", " "]).join(parts)

    def long() -> str:
        return " ".join(rng.choices(words, k=rng.randint(58, 72)))

    found = dict.fromkeys(
        ["", " ", *meant, *words, *CAPTIONS.values(), *(f"A photo of {caption}!" for caption in CAPTIONS.values())]
    )
    makers = [mixture, mixture, word, long, lambda: rng.choice(entities), lambda: f"{word()} {word()}, {word()}"]
    while len(found) < STRINGS:
        text = rng.choice(makers)()
        if ftfy.fix_text(text) == ftfy.fix_text(text, fix_encoding=False):
            found[text] = None
    return {text: wanted_tokens(text) for text in found}


def wanted_tokens(text: str) -> list[int] | None:
    """Return clip's tokens, or None."""
    try:
        row = clip.tokenize(text)[0].tolist()
    except RuntimeError:
        return None
    end = max(row)
    return None if row.count(end) > 1 else row[: row.index(end) + 1]


def odd_images(folder: Path) -> None:
    """Write images of odd sizes and modes, all of noise."""
    rng = np.random.default_rng(0)

    def noise(width: int, height: int, mode: str) -> Image.Image:
        shape = (height, width, len(mode))
        return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8).squeeze(2 if len(mode) == 1 else ()), mode)

    for width, height in ODD:
        noise(width, height, "RGB").save(folder / f"{width}x{height}.png")
    noise(90, 70, "L").save(folder / "grey.png")
    noise(90, 70, "L").convert("1").save(folder / "bits.png")
    palette = noise(90, 70, "RGB").quantize(200)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette-clear.png", transparency=7)
    noise(90, 70, "RGB").save(folder / "clear.png", transparency=(0, 0, 0))
    alpha = noise(150, 120, "RGBA")
    alpha.save(folder / "alpha-half.png")
    alpha.putalpha(alpha.getchannel("A").point(lambda value: 255 * (value > 100)))
    alpha.save(folder / "alpha-all-or-none.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(90, 70, "RGB").save(folder / "turned.png", exif=exif)
    gamma = PngInfo()
    gamma.add(b"gAMA", (100_000).to_bytes(4, "big"))
    noise(90, 70, "RGB").save(folder / "gamma.png", pnginfo=gamma)


class Server(ThreadingHTTPServer):
    """Does not mind a page that is closed in the middle of a download."""

    def handle_error(self, *_: object) -> None:
        """Leave the error out."""


@pytest.fixture(scope="module")
def site(site, tmp_path_factory):
    """The built playground with an empty page and odd images, served as a static host does: ``(address, folder)``."""
    root = tmp_path_factory.mktemp("site")
    folder = root / "playground"
    shutil.copytree(site / "playground", folder)
    (folder / "blank.html").write_text(BLANK)
    for name in CAPTIONS:
        shutil.copy(IMAGES / name, folder / "drawings" / name)
    (folder / "odd").mkdir()
    odd_images(folder / "odd")
    with Server(("127.0.0.1", 0), functools.partial(Quiet, directory=root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/playground/", folder
        server.shutdown()


@pytest.fixture(scope="module")
def page(chromium, site):
    """A page with ``clip`` loaded, that keeps what was asked for and what was complained of."""
    page = chromium.new_page()
    page.asked, page.broken = [], []
    page.context.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: message.type in ("error", "warning") and page.broken.append(message.text))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    page.goto(f"{site[0]}blank.html")
    page.evaluate(
        """async () => {
            for (const module of ["clip", "decode", "download", "preprocess"]) {
                Object.assign(globalThis, await import(`/playground/js/${module}.js`));
            }
            globalThis.progress = [];
            globalThis.clip = await Clip.load("/playground", (step) => progress.push(step));
            globalThis.open = async (path) => decode(await (await fetch(path)).blob());
            globalThis.packed = (array) => {
                const bytes = new Uint8Array(array.buffer);
                return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
            };
            await Promise.all([clip.ready.texts, clip.ready.images]);
        }"""
    )
    return page


@pytest.fixture(scope="module")
def tiny():
    return helpers.load("tiny", device="cpu")


def unpacked(packed: str, dtype: type) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), dtype)


def test_every_type_is_right():
    """By the JSDoc comments of the modules."""
    checked = subprocess.run(
        [shutil.which("npm") or "npm", "run", "--silent", "check"], cwd=playground.HERE, capture_output=True
    )
    assert not checked.returncode, checked.stdout.decode()


@pytest.mark.parametrize(
    ("npm", "sentence"),
    [
        (
            None,
            "Expected npm, which installs the runtime of the playground; got none. Install Node.js from nodejs.org.",
        ),
        (
            "false",
            "Expected npm to install the runtime of the playground; it failed (see above). Connect to the network",
        ),
    ],
)
def test_a_build_without_npm_says_so(monkeypatch, tmp_path, npm, sentence):
    (tmp_path / "package-lock.json").touch()
    monkeypatch.setattr(playground, "HERE", tmp_path)
    monkeypatch.setattr(playground, "PACKAGES", tmp_path / "node_modules")
    monkeypatch.setattr(shutil, "which", lambda _: npm)
    with pytest.raises(RuntimeError) as error:
        playground.build(tmp_path / "built")
    assert str(error.value).startswith(sentence)
    assert not (tmp_path / "built").exists()


def test_tokens_are_those_of_clip(page):
    wanted = texts()
    assert len(wanted) == STRINGS and list(wanted.values()).count(None) > 50
    assert sum(70 <= len(tokens) <= 77 for tokens in wanted.values() if tokens) > 50
    got = page.evaluate(
        """texts => Promise.all(texts.map((text) => clip.tokens(text).catch((error) => {
            if (error.name !== "RangeError") throw error;
            return null;
        })))""",
        list(wanted),
    )
    wrong = [(text, ours, clips) for (text, clips), ours in zip(wanted.items(), got, strict=True) if ours != clips]
    assert not wrong, f"{len(wrong)} of {STRINGS}: {wrong[:5]}"


def images(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for kind in ("drawings", "odd") for path in sorted((folder / kind).iterdir())]


def test_pixels_are_those_of_helpers(page, site, tiny):
    """What a canvas cannot hold exactly, half transparent colours, may be off by rounding."""
    _, preprocess = tiny
    folder = site[1]
    names = images(folder)
    assert len(names) == len(CAPTIONS) + len(ODD) + 9
    got = page.evaluate(
        """names => Promise.all(names.map(async (name) => {
            const image = await open(name);
            return [packed(squareOf(image, 64).data), packed(preprocess(image, 64))];
        }))""",
        names,
    )
    for name, (ours, floats) in zip(names, got, strict=True):
        image = cut_strip(open_image(folder / name))
        square = np.asarray(preprocess.transforms[1](preprocess.transforms[0](image)))
        off = np.abs(unpacked(ours, np.uint8).reshape(square.shape).astype(int) - square).max()
        assert off <= (ROUNDED if "half" in name else EXACT), f"{name} is off by {off}"
        if off == 0:
            np.testing.assert_allclose(unpacked(floats, np.float32), preprocess(image).numpy().ravel(), atol=1e-6)


def test_transparency_is_laid_over_white_as_pillow_does(page, tiny):
    """Without a canvas on the way, each combination of colour and opacity is exact."""
    _, preprocess = tiny
    colour, opacity = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([colour, 255 - colour, colour // 2, opacity], axis=2)
    got = page.evaluate(
        """rgba => {
            const bytes = Uint8ClampedArray.from(atob(rgba), (letter) => letter.charCodeAt(0));
            return packed(preprocess(new ImageData(bytes, 256, 256), 64));
        }""",
        base64.b64encode(rgba.tobytes()).decode(),
    )
    np.testing.assert_array_equal(
        unpacked(got, np.float32), preprocess(open_image(Image.fromarray(rgba))).numpy().ravel()
    )


def normalized(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def encoded(page, call: str, items: list[str]) -> np.ndarray:
    rows = page.evaluate(f"async items => (await {call}).map(packed)", items)
    found = np.stack([unpacked(row, np.float32) for row in rows]).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    return found


def test_image_embeddings_are_those_of_helpers(page, site, tiny):
    folder = site[1]
    names = [name for name in images(folder) if "half" not in name]
    ours = encoded(page, "clip.encodeImages(await Promise.all(items.map(open)))", names)
    wanted = normalized(helpers.encode_images(*tiny, [folder / name for name in names], progress=False))
    distance = 1 - (normalized(ours) * wanted).sum(axis=1)
    of_course, of_noise = (distance[[name.startswith(kind) for name in names]].max() for kind in ("drawings", "odd"))
    told = f"1 - cosine is at most {of_course:.1e} for the images, {of_noise:.1e} for noise"
    print(told)
    assert of_course <= IMAGE and of_noise <= ANYTHING * IMAGE, told
    listed = json.loads((folder / "drawings.json").read_text())
    stored = np.fromfile(folder / "features.bin", "<f4").reshape(len(listed), -1)
    assert [CAPTIONS[f"{each['name']}.png"] for each in listed] == [each["caption"] for each in listed]
    rows = [names.index(each["file"]) for each in listed]
    np.testing.assert_allclose(stored, wanted[rows], atol=1e-5)


def test_text_embeddings_are_those_of_helpers_and_find_the_same_drawings(page, site, tiny):
    folder = site[1]
    listed = json.loads((folder / "drawings.json").read_text())
    captions = [each["caption"] for each in listed]
    others = [text for text, tokens in texts().items() if tokens][::20]
    ours = encoded(page, "clip.encodeTexts(items)", [*captions, *others])
    wanted = normalized(helpers.encode_texts(tiny[0], [*captions, *others], progress=False))
    distance = 1 - (normalized(ours) * wanted).sum(axis=1)
    of_captions, of_others = distance[: len(captions)].max(), distance[len(captions) :].max()
    told = f"1 - cosine is at most {of_captions:.1e} for the captions, {of_others:.1e} for any texts"
    print(told)
    assert of_captions <= TEXT and of_others <= ANYTHING * TEXT, told
    drawings = np.fromfile(folder / "features.bin", "<f4").reshape(len(listed), -1)
    answers = (ours[: len(listed)] @ drawings.T).argmax(axis=1)
    np.testing.assert_array_equal(answers, (wanted[: len(listed)] @ drawings.T).argmax(axis=1))
    assert len(listed) == 31 and (answers == np.arange(31)).all()


def test_cosine_softmax_and_scale_are_those_of_helpers(page, tiny):
    vectors = normalized(helpers.encode_texts(tiny[0], ["a cat", "a dog", "a red car"], progress=False))
    cosines, probabilities, scale = page.evaluate(
        """async () => {
            const [cat, dog, car] = await clip.encodeTexts(["a cat", "a dog", "a red car"]);
            const cosines = [cosine(cat, cat), cosine(cat, dog), cosine(cat, car)];
            return [cosines, softmax(cosines, clip.logitScale), clip.logitScale];
        }"""
    )
    assert scale == pytest.approx(tiny[0].logit_scale.exp().item())
    np.testing.assert_allclose(cosines, vectors @ vectors[0], atol=1e-3)
    raised = np.exp(scale * np.array(cosines))
    np.testing.assert_allclose(probabilities, raised / raised.sum(), atol=1e-9)


def test_requests_are_answered_in_order_and_can_be_superseded(page):
    told = page.evaluate(
        """async () => {
            const told = [];
            const note = (name) => [() => told.push(name), (error) => told.push(`${name}: ${error.name}`)];
            const image = new ImageData(64, 64);
            const [begun, waits, gone] = [new AbortController(), new AbortController(), new AbortController()];
            gone.abort();
            const all = [
                clip.encodeImages(Array(200).fill(image), { signal: begun.signal }).then(...note("begun")),
                clip.encodeImages([image], { signal: waits.signal }).then(...note("waits")),
                clip.encodeTexts(["a cat"], { signal: gone.signal }).then(...note("gone")),
                clip.encodeTexts(["a cat"]).then(...note("first")),
                clip.encodeImages([image]).then(...note("second")),
                clip.encodeTexts([]).then(...note("third")),
            ];
            waits.abort();
            setTimeout(() => begun.abort(), 50);
            await Promise.all(all);
            return told;
        }"""
    )
    dropped = ["begun: AbortError", "gone: AbortError", "waits: AbortError"]
    assert sorted(told) == sorted([*dropped, "first", "second", "third"])
    assert [name for name in told if ":" not in name] == ["first", "second", "third"]


def test_a_superseded_request_costs_no_time(page):
    """Neither one that waits nor one that has begun, but for the batch in progress."""
    full, begun, waits = page.evaluate(
        """async () => {
            const many = Array(160).fill(new ImageData(64, 64));
            const seconds = [];
            for (const wait of [null, 0, 1]) {
                const [controller, start] = [new AbortController(), performance.now()];
                const first = wait === 1 ? clip.encodeImages(many.slice(0, 16)) : undefined;
                const request = clip.encodeImages(many, { signal: controller.signal }).catch(() => {});
                if (wait === 0) await new Promise((resolve) => setTimeout(resolve, 20));
                if (wait !== null) controller.abort();
                await Promise.all([first, request, clip.encodeTexts(["a cat"])]);
                seconds.push(performance.now() - start);
            }
            return seconds;
        }"""
    )
    assert begun < full / 2 and waits < full / 2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("clip.encodeTexts([`${'word '.repeat(90)}`])", "Expected a text of at most 77 tokens; got 92 with its start"),
        ("clip.tokens('x'.repeat(10001))", "Expected a text of at most 10000 characters; got 10001. Shorten it."),
        ("clip.tokens('a <|endoftext|> b')", "Expected a text without <|endoftext|>, after which CLIP reads nothing."),
        ("decode(new Blob(['no image']))", "Expected an image that this browser can read, such as PNG, JPEG or WebP."),
    ],
)
def test_errors_are_one_sentence(page, call, sentence):
    assert page.evaluate(f"() => {call}.catch((error) => error.message)").startswith(sentence)


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("delete globalThis.DecompressionStream", "DecompressionStream"),
        ("WebAssembly.validate = () => false", "WebAssembly SIMD"),
        ("globalThis.Worker = class { terminate() {} }", "module workers"),
        ("delete globalThis.Worker", "module workers"),
    ],
)
def test_an_old_browser_gets_a_sentence(chromium, site, lost, named):
    old = chromium.new_page()
    old.add_init_script(lost)
    old.goto(f"{site[0]}blank.html")
    told = old.evaluate(
        "async () => (await import('/playground/js/clip.js')).Clip.load('./').catch((error) => error.message)"
    )
    assert told == f"Expected a browser with {named}; this one is too old. Update it."
    old.close()


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("model.json", "the file model.json; the server answered 404"),
        ("merges.txt.gz", "the file merges.txt.gz; the server answered 404"),
        ("ort.wasm.bundle.min.mjs", "ort.wasm.bundle.min.mjs"),
        ("image.onnx", "the file image.onnx; the server answered 404"),
        ("worker.js", "the model's worker to start; it failed"),
        ("clean.js", "the model's worker to start; it failed"),
    ],
)
def test_a_missing_file_is_named(chromium, site, missing, named):
    other = chromium.new_page()
    other.route(f"**/{missing}", lambda route: route.fulfill(status=404))
    other.goto(f"{site[0]}blank.html")
    told = other.evaluate(
        """async () => {
            const { Clip } = await import("/playground/js/clip.js");
            const late = (clip) => Promise.all([clip.ready.images, clip.encodeImages([new ImageData(9, 9)])]);
            return Clip.load(".").then(late).catch((error) => error.message);
        }"""
    )
    assert named in told and told.startswith("Expected ") and told.endswith("Reload the page.")
    other.close()


def test_a_server_may_unpack_what_it_sends(page):
    """One that declares the compression has the browser unpack the files already."""
    assert page.evaluate("async () => packed(await gunzip(Uint8Array.of(1, 2, 3)))") == "AQID"


def test_progress_ends_at_the_total(page, site):
    steps = page.evaluate("progress")
    files = json.loads((site[1] / "model.json").read_text())["files"]
    assert steps[-1] == {"loaded": sum(files.values()), "total": sum(files.values()), "what": "image encoder"}
    assert [step["loaded"] for step in steps] == sorted(step["loaded"] for step in steps)
    assert list(dict.fromkeys(step["what"] for step in steps)) == [
        "tokenizer",
        "runtime",
        "text encoder",
        "image encoder",
    ]


def test_nothing_left_the_machine_and_nothing_complained(page, site):
    """The last test, after all of the above."""
    address = site[0]
    assert {f"{address}image.onnx", f"{address}js/worker.js"} <= set(page.asked)  # the worker's requests are seen
    assert [url for url in page.asked if not url.startswith((address, "blob:"))] == []
    assert page.broken == []
