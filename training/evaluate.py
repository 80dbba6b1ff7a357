"""Measure a checkpoint: one command, the same figures each time.

Run ``python -m training.evaluate CHECKPOINT``, a file or the name of a bundled model. OpenMoji, which no stage of the
training sees, gives most images; the rest are drawn anew or lie in ``images/``. Prints a Markdown table and then the
figures as one line of JSON.
"""

import argparse
import csv
import hashlib
import json
import random
import sys
import time
from pathlib import Path

import clip
import numpy as np
import torch
from PIL import Image

import helpers
from training import scenes
from training.get_data import data_folder

ROOT = Path(__file__).resolve().parent.parent
IMAGES, WEIGHTS = ROOT / "images", ROOT / "helpers" / "weights"
DISTRACTORS = (
    "game",
    "cat",
    "win the game",
    "chess board",
    "keyboard",
    "brick wall",
    "map",
    "qr code",
    "house",
    "grid",
)
SEED_QUESTION = ("maze", "game", "cat", "win the game")
NOUNS = (
    "cat, dog, horse, cow, pig, sheep, goat, rabbit, mouse, elephant, camel, monkey, penguin, owl, duck, eagle, "
    "frog, turtle, snake, fish, whale, dolphin, shark, octopus, crab, butterfly, snail, spider, bee, tree, palm "
    "tree, cactus, rose, sunflower, tulip, mushroom, apple, pear, banana, grapes, strawberry, lemon, watermelon, "
    "pineapple, cherries, carrot, tomato, corn, bread, cheese, egg, pizza, hamburger, cake, ice cream, cookie, "
    "beer, house, castle, church, tent, bridge, car, bus, bicycle, motorcycle, train, airplane, helicopter, rocket, "
    "sailboat, ship, anchor, umbrella, snowman, sun, cloud, rainbow, star, fire, book, pencil, scissors, key, "
    "hammer, bed, chair, door, lamp, clock, telephone, camera, television, guitar, trumpet, drum, ball, crown, "
    "heart, ghost"
).split(", ")
# OpenMoji's names of those that it calls otherwise
OPENMOJI_NAMES = {
    "sheep": "ewe", "bee": "honeybee", "tree": "deciduous tree", "apple": "red apple", "corn": "ear of corn",
    "cheese": "cheese wedge", "cake": "shortcake", "beer": "beer mug", "bridge": "bridge at night",
    "car": "automobile", "book": "open book", "lamp": "light bulb", "clock": "mantelpiece clock",
    "ball": "soccer ball", "heart": "red heart",
}  # fmt: skip
# words that most likely no training image is named by (those that one is are left out): one of the nouns above
SYNONYMS = (
    "kitten=cat, kitty=cat, puppy=dog, hound=dog, pony=horse, stallion=horse, hog=pig, bunny=rabbit, hare=rabbit, "
    "rodent=mouse, ape=monkey, serpent=snake, toad=frog, tortoise=turtle, arachnid=spider, bumblebee=bee, "
    "fungus=mushroom, toadstool=mushroom, loaf of bread=bread, maize=corn, sundae=ice cream, biscuit=cookie, "
    "lager=beer, ale=beer, cottage=house, fortress=castle, chapel=church, automobile=car, sedan=car, motorcar=car, "
    "bike=bicycle, cycle=bicycle, moped=motorcycle, locomotive=train, railway=train, aircraft=airplane, jet "
    "plane=airplane, aeroplane=airplane, chopper=helicopter, spaceship=rocket, spacecraft=rocket, yacht=sailboat, "
    "vessel=ship, parasol=umbrella, sunshine=sun, blaze=fire, flames=fire, novel=book, textbook=book, "
    "mallet=hammer, shears=scissors, mattress=bed, seat=chair, doorway=door, phone=telephone, tv=television, tv "
    "set=television, timepiece=clock, football=ball, phantom=ghost, spectre=ghost, tiara=crown, bird of prey=eagle, "
    "bull=cow, lamb=sheep, cheeseburger=hamburger, teepee=tent, campsite=tent, photographic camera=camera, "
    "percussion=drum, brass instrument=trumpet, string instrument=guitar"
).split(", ")
COLOURED_THINGS = (
    "cat dog rabbit elephant penguin duck fish whale butterfly snail cactus tulip mushroom pear banana grapes carrot "
    "pizza house castle tent automobile bus bicycle airplane helicopter rocket sailboat anchor umbrella cloud star "
    "pencil scissors key hammer bed chair camera guitar"
).split()


class Checkpoint:
    """A checkpoint, loaded as the course loads it, with its features as unit rows in NumPy."""

    def __init__(self, path: Path):
        self.model, self.preprocess = helpers.load(path, device="cpu")

    @torch.no_grad()
    def images(self, images: list[Image.Image]) -> np.ndarray:
        """Encode images: ``(n, d)``."""
        batches = [images[i : i + 128] for i in range(0, len(images), 128)]
        features = [self.model.encode_image(torch.stack([self.preprocess(p) for p in batch])) for batch in batches]
        return torch.nn.functional.normalize(torch.cat(features), dim=1).numpy()

    @torch.no_grad()
    def texts(self, texts: list[str]) -> np.ndarray:
        """Encode texts: ``(n, d)``."""
        features = [self.model.encode_text(clip.tokenize(texts[i : i + 256])) for i in range(0, len(texts), 256)]
        return torch.nn.functional.normalize(torch.cat(features), dim=1).numpy()


def on_white(pixels: np.ndarray) -> Image.Image:
    """Lay an RGBA image on white."""
    image = Image.fromarray(pixels)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def hits(similarity: np.ndarray, right: np.ndarray, k: int = 1) -> float:
    """Return the share of rows whose right column is among the ``k`` best."""
    return float((np.argsort(-similarity, axis=1, kind="stable")[:, :k] == right[:, None]).any(axis=1).mean())


def evaluate_names(checkpoint: Checkpoint, images: list, names: list[str]) -> dict:
    """Top-1 and top-5 over all shared names, retrieval among 1,000 of them, and the cosines' spread."""
    features, texts = checkpoint.images(images), checkpoint.texts([f"a picture of {name}" for name in names])
    similarity, right = features @ texts.T, np.arange(len(names))
    wrong = similarity[~np.eye(len(names), dtype=bool)]
    some = np.sort(np.random.default_rng(0).permutation(len(names))[:1000])
    part = similarity[np.ix_(some, some)]
    index = np.arange(len(some))
    return {
        "names": len(names),
        "names top-1": hits(similarity, right),
        "names top-5": hits(similarity, right, 5),
        "image to text recall@1": hits(part, index),
        "image to text recall@5": hits(part, index, 5),
        "text to image recall@1": hits(part.T, index),
        "text to image recall@5": hits(part.T, index, 5),
        "cosine of right pairs, mean": float(similarity.diagonal().mean()),
        "cosine of right pairs, sd": float(similarity.diagonal().std()),
        "cosine of wrong pairs, mean": float(wrong.mean()),
        "cosine of wrong pairs, sd": float(wrong.std()),
        "logit scale": float(checkpoint.model.logit_scale.detach().exp()),
    }


def evaluate_nouns(checkpoint: Checkpoint, held_out: dict[str, Image.Image], trained: set[str]) -> dict:
    """Everyday nouns among themselves, and words that no training image was named by."""
    images = checkpoint.images([held_out[OPENMOJI_NAMES.get(noun, noun)] for noun in NOUNS])
    similarity = images @ checkpoint.texts([f"a picture of a {noun}" for noun in NOUNS]).T
    unseen = dict(pair.split("=") for pair in SYNONYMS if pair.split("=")[0] not in trained)
    asked = checkpoint.texts([f"a picture of a {word}" for word in unseen]) @ images.T
    right = np.array([NOUNS.index(noun) for noun in unseen.values()])
    return {
        "everyday nouns": len(NOUNS),
        "everyday nouns top-1": hits(similarity, np.arange(len(NOUNS))),
        "unseen words": len(unseen),
        "unseen words top-1": hits(asked, right),
        "unseen words top-5": hits(asked, right, 5),
    }


def evaluate_drawings(checkpoint: Checkpoint, folder: Path = IMAGES) -> dict:
    """The drawings of ``images/`` among the names in its table; the mazes count as mazes."""
    with (folder / "captions.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    names = list(dict.fromkeys(row["name"] for row in rows))
    images = []
    for row in rows:
        with Image.open(folder / row["file"]) as image:
            images.append(on_white(np.asarray(image.convert("RGBA"))))
    similarity = checkpoint.images(images) @ checkpoint.texts([f"a picture of a {name}" for name in names]).T
    right = np.array([names.index(row["name"]) for row in rows])
    return {"drawings": len(rows), "drawings top-1": hits(similarity, right)}


def evaluate_colours(checkpoint: Checkpoint, held_out: dict[str, np.ndarray]) -> dict:
    """Eleven colours of forty held-out silhouettes: the right colour of the right thing among eleven captions."""
    colours, found = list(scenes.COLOURS), []
    for name in COLOURED_THINGS:
        alpha = held_out[name][..., 3:] / 255
        images = []
        for colour in colours:
            ground = (70, 75, 80) if colour == "white" else (255, 255, 255)
            pixels = alpha * np.array(scenes.COLOURS[colour]) + (1 - alpha) * np.array(ground)
            images.append(Image.fromarray(pixels.round().astype(np.uint8)))
        similarity = checkpoint.images(images) @ checkpoint.texts([f"a {colour} {name}" for colour in colours]).T
        found.append(hits(similarity, np.arange(len(colours))))
    return {"colours": len(colours) * len(found), "colours top-1": float(np.mean(found))}


def evaluate_mazes(checkpoint: Checkpoint, count: int = 200) -> dict:
    """Newly drawn mazes and those of ``images/``: 'maze' among ten others, and the four texts of example.py."""
    rng = random.Random(2026)
    images = [on_white(scenes.draw_scene(("maze", rng.getrandbits(40)))) for _ in range(count)]
    for path in sorted(IMAGES.glob("maze*.jp*g")):
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
    features = checkpoint.images(images)
    ten = features @ checkpoint.texts(["maze", *DISTRACTORS]).T
    four = features @ checkpoint.texts(list(SEED_QUESTION)).T
    margins = four[:, 0] - four[:, 1:].max(axis=1)
    return {
        "mazes": len(images),
        "mazes top-1 of eleven": hits(ten, np.zeros(len(ten), int)),
        "seed question top-1 of four": hits(four, np.zeros(len(four), int)),
        "seed question smallest margin": float(margins.min()),
        "seed question, images/": [[round(float(c), 3) for c in row] for row in four[count:]],
    }


def measure_speed(checkpoint: Checkpoint, repeats: int = 30) -> dict:
    """Milliseconds an image on one core, the median of ``repeats``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, times = torch.zeros(1, 3, *[checkpoint.model.visual.input_resolution] * 2), []
    with torch.no_grad():
        for _ in range(repeats):
            start = time.perf_counter()
            checkpoint.model.encode_image(x)
            times.append(1000 * (time.perf_counter() - start))
    torch.set_num_threads(threads)
    return {"milliseconds an image, one core": float(np.median(times))}


def evaluate(path: Path, root: Path) -> dict:
    """Return all figures of a checkpoint."""
    checkpoint = Checkpoint(path)
    trained = {row[0] for row in json.loads((root / "images.json").read_text())}
    rows, pixels = json.loads((root / "held_out.json").read_text()), np.load(root / "held_out.npy", mmap_mode="r")
    raw = {row[0]: pixels[i] for i, row in enumerate(rows)}
    shared = sorted(set(raw) & trained)
    held_out = {name: on_white(np.ascontiguousarray(value)) for name, value in raw.items()}
    return {
        "SHA-256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "megabytes": path.stat().st_size / 1e6,
        **evaluate_names(checkpoint, [held_out[name] for name in shared], shared),
        **evaluate_nouns(checkpoint, held_out, trained),
        **evaluate_drawings(checkpoint),
        **evaluate_colours(checkpoint, raw),
        **evaluate_mazes(checkpoint),
    }


def main() -> None:
    """Print the figures of one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a file, or the name of a bundled model")
    path = parser.parse_args().checkpoint
    path = path if path.is_file() else WEIGHTS / f"{path}.pt"
    figures, speed = evaluate(path, data_folder()), measure_speed(Checkpoint(path))
    print("| figure | value |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.3f} |" if isinstance(value, float) else f"| {name} | {value} |")
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}))
    print(json.dumps(speed), file=sys.stderr)


if __name__ == "__main__":
    main()
