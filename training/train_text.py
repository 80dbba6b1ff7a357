"""Train the text side of `tiny` and join it to the image side.

Run ``python -m training.train_text`` after ``train``: it first learns where the teacher puts each phrase
(``text-state.pt``), then moves the names to where the images are (``tiny.pt``).
"""

import argparse
import json
import random
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import clip
import numpy as np
import torch
from clip.model import CLIP
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.augment import half_precision
from training.get_data import data_folder
from training.scenes import COLOURS
from training.train import EMBEDDING, LAYERS, SIDE, WIDTH, Images, Trainer, load_images, plain

TEMPLATES = (
    "{}", "{}", "{}", "a {}", "the {}", "a picture of {}", "a picture of a {}", "a picture of the {}",
    "a photo of a {}", "a photo of a {}.", "a photo of {}", "a drawing of a {}", "a drawing of {}", "an icon of {}",
    "an icon of a {}",
    "an emoji of a {}", "this is a {}", "a {} icon", "a {} emoji", "a cartoon {}", "a simple drawing of a {}.",
    "a picture of a {}.", "an image of a {}", "{}.", "a pictogram of a {}", "a photo of the {}", "a photo of my {}",
    "a good photo of a {}", "art of a {}", "itap of a {}.", "a rendering of a {}", "a sketch of a {}",
    "clip art of a {}",
)  # fmt: skip

START = 0.05  # spread of the words' first places


@dataclass
class Phrases:
    """Phrases, where the teacher puts them ``(n, d)``, and whether each may stand in a template."""

    texts: list[str]
    features: torch.Tensor
    templated: list[bool]
    weight: torch.Tensor


def load_phrases(root: Path) -> Phrases:
    """Load what ``teach.py`` wrote; names and colours are drawn more often than nouns, common words than rare ones."""
    stored = json.loads((root / "phrases.json").read_text())
    weight_of, plain_only = {}, set(stored["sentences"]) | set(stored["pairs"])
    shares = {"words": 0.30, "nouns": 0.18, "pairs": 0.03, "ground": 0.05, "coloured": 0.12, "tags": 0.08,
              "names": 0.22, "sentences": 0.015, "colours": 0.005}  # fmt: skip
    for kind, share in shares.items():
        often = [1 / (place + 5000) if kind == "words" else 1.0 for place in range(len(stored[kind]))]
        for text, weight in zip(stored[kind], often, strict=True):
            weight_of[text] = max(weight_of.get(text, 0.0), share * weight / sum(often))
    texts = stored["texts"]
    features = torch.from_numpy(np.load(root / "teacher.npz")["features"]).float()
    weight = torch.tensor([weight_of[text] for text in texts], dtype=torch.double)
    return Phrases(texts, features, [text not in plain_only for text in texts], weight)


def make_model() -> CLIP:
    """Make an untrained CLIP of `tiny`'s shape."""
    return CLIP(
        embed_dim=EMBEDDING, image_resolution=SIDE, vision_layers=LAYERS, vision_width=WIDTH, vision_patch_size=None,
        context_length=77, vocab_size=49408, transformer_width=128, transformer_heads=2, transformer_layers=4,
    ).float()  # fmt: skip


def whole_words(phrases: Phrases) -> tuple[list[int], list[int]]:
    """Return the tokens that are a phrase by themselves, and which phrase each is."""
    found = [(encode_word(text), i) for i, text in enumerate(phrases.texts)]
    tokens, rows = zip(*[(pieces[0], i) for pieces, i in found if len(pieces) == 1], strict=True)
    return list(tokens), list(rows)


@torch.no_grad()
def start_from_words(model: CLIP, phrases: Phrases) -> None:
    """Put the token of each whole word where the teacher has that word, in its main directions: a head start."""
    tokens, rows = whole_words(phrases)
    features = phrases.features[rows]
    _, axes = torch.linalg.eigh(features.T @ features)
    places = features @ axes[:, -model.token_embedding.embedding_dim :]
    model.token_embedding.weight[tokens] = START * places / places.std()


@torch.no_grad()
def move_words(model: CLIP, phrases: Phrases, moved: torch.Tensor) -> None:
    """Move the tokens of whole words as their places ``(n, d)`` moved, by the map that gives tokens from places."""
    tokens, rows = whole_words(phrases)
    places, table = phrases.features[rows], model.token_embedding.weight
    square = places.T @ places + 10 * torch.eye(places.shape[1])
    table[tokens] += (moved[rows] - places) @ torch.linalg.solve(square, places.T @ table[tokens])


@cache
def encode_word(word: str) -> list[int]:
    """Return the tokens of one word, kept: the tokenizer's cleaning takes longer than the model."""
    return clip.clip._tokenizer.encode(word)


def tokenize(texts: list[str]) -> torch.Tensor:
    """Do what ``clip.tokenize`` does, but only as wide as the longest text: what follows the end has no influence."""
    rows = [[49406, *(token for word in text.split() for token in encode_word(word))][:76] + [49407] for text in texts]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
    return tokens


def encode(model: CLIP, texts: list[str]) -> torch.Tensor:
    """Return unit features (n, d); the gradient of the token embedding is sparse."""
    tokens = tokenize(texts)
    n = tokens.shape[1]
    # the plain attention: going back through the fused one takes longer than all the rest, for texts so short
    with half_precision(), sdpa_kernel(SDPBackend.MATH):
        words = functional.embedding(tokens, model.token_embedding.weight, sparse=True)
        x = (words + model.positional_embedding[:n]).permute(1, 0, 2)
        for block in model.transformer.resblocks:
            full, block.attn_mask = block.attn_mask, block.attn_mask[:n, :n]
            x = block(x)
            block.attn_mask = full
        x = model.ln_final(x.permute(1, 0, 2))
        x = x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection
    return functional.normalize(x.float(), dim=1)


def say(text: str, templated: bool, rng: random.Random) -> str:
    """Put a phrase in a random template."""
    return rng.choice(TEMPLATES).format(text) if templated else text


class TextOptimizer:
    """AdamW for the transformer and a sparse Adam for the token embedding, of which a batch needs few rows."""

    def __init__(self, model: CLIP):
        self.dense = [*model.transformer.parameters(), *model.ln_final.parameters()]
        self.dense += [model.positional_embedding, model.text_projection]
        self.parts = [
            torch.optim.AdamW(self.dense, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
            torch.optim.SparseAdam([model.token_embedding.weight], betas=(0.9, 0.98)),
        ]

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Follow the loss one step at the learning rate ``rate``."""
        for part in self.parts:
            part.zero_grad()
            part.param_groups[0]["lr"] = rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.dense, 1.0)
        for part in self.parts:
            part.step()


def teacher_loss(model: CLIP, phrases: Phrases, n: int, rng: random.Random) -> tuple[torch.Tensor, float]:
    """Compare ``n`` phrases of similar length with the teacher: the loss, and their mean cosine."""
    ids = torch.multinomial(phrases.weight, 2 * n, replacement=True).tolist()
    said = [(say(phrases.texts[i], phrases.templated[i], rng), i) for i in ids]
    said.sort(key=lambda pair: len(pair[0]))
    said = said[:n] if rng.random() < 0.5 else said[n:]
    wanted = phrases.features[torch.tensor([i for _, i in said])]
    given = encode(model, [text for text, _ in said])
    near = functional.softmax((wanted @ wanted.T - 1) * 25, dim=1)
    cosine = (given * wanted).sum(1).mean()
    return 1 - cosine - 0.2 * (near * functional.log_softmax(20 * given @ wanted.T, dim=1)).sum(1).mean(), cosine.item()


def learn_from_teacher(root: Path, steps: int, batch: int = 384, peak: float = 2e-3) -> CLIP:
    """Train until ``steps`` steps were taken, going on from the last state; the learning rate falls to zero."""
    torch.manual_seed(0)
    phrases, model, path = load_phrases(root), make_model(), root / "text-state.pt"
    optimizer = TextOptimizer(model)
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        for part, saved_part in zip(optimizer.parts, state["optimizer"], strict=True):
            part.load_state_dict(saved_part)
        first = state["step"]
    else:
        start_from_words(model, phrases)
    rng, mean, saved = random.Random(first), 0.0, time.time()
    for step in range(first, steps):
        loss, cosine = teacher_loss(model, phrases, batch, rng)
        optimizer.step(loss, peak * min(1, (step + 1) / 100) * min(1.0, 1.5 * (1 - step / steps)))
        mean = cosine if step == first else 0.98 * mean + 0.02 * cosine
        if step % 100 == 99:
            print(f"text step {step + 1}, cosine {mean:.3f}", flush=True)
        if time.time() - saved > 180 or step + 1 == steps:
            half_done, parts = path.with_suffix(".part"), [part.state_dict() for part in optimizer.parts]
            torch.save({"model": model.state_dict(), "optimizer": parts, "step": step + 1}, half_done)
            half_done.replace(path)
            saved = time.time()
    return model


@torch.no_grad()
def see_images(trainer: Trainer, batches: int) -> dict[str, torch.Tensor]:
    """Encode augmented training images, and the coloured ones as they are, with the averaged image side.

    Doodles are not taken as they are: a hundred of one thing would outweigh all its other images.
    """
    features, names, colours = [], [], []

    def look(images: torch.Tensor) -> torch.Tensor:
        with half_precision():
            return functional.normalize(
                trainer.average(images.contiguous(memory_format=torch.channels_last)).float(), dim=1
            )

    trainer.average.eval()
    for _ in range(batches):
        batch, name = trainer.draw_batch()
        alone = batch.neighbour < 0
        features.append(look(batch.images)[alone])
        names.append(name[alone])
        colours.append(batch.colour[alone])
    p = trainer.images
    for ids in torch.nonzero(~p.mono & ~p.doodle).flatten().split(256):
        features.append(look(plain(p.pixels[p.row[ids.numpy()]])))
        names.append(p.name[ids])
        colours.append(torch.full((len(ids),), -1))
    return {"features": torch.cat(features), "name": torch.cat(names), "colour": torch.cat(colours)}


def move(features: torch.Tensor, names: torch.Tensor, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Move phrases half-way to the images of the names that they mean: a word without images goes with its kin.

    Args:
        features: ``(n, d)``, where the teacher puts the phrases.
        names: ``(m, d)``, where it puts the names; a phrase means a name the more, the nearer it lies and the more
            ``weight`` ``(m,)`` the name has.
        images: ``(m, d)``, where each name's images are.
    """
    moved = torch.empty_like(features)
    for rows in torch.arange(len(features)).split(4096):
        meant = functional.softmax(40 * features[rows] @ names.T + weight.log(), dim=1)
        moved[rows] = features[rows] + functional.normalize(meant @ images, dim=1)
    return functional.normalize(moved, dim=1)


def align(model: CLIP, trainer: Trainer, phrases: Phrases, steps: int, batches: int = 120, batch: int = 256) -> None:
    """Move the texts to the images: each name's text must find an image of it among others, and the reverse.

    Coloured captions must find their colour. The teacher's loss goes on beside it, its places moved as ``move`` says,
    so that other words stay where they were among the names.
    """
    seen, rng, colours = see_images(trainer, batches), random.Random(1), list(COLOURS)
    images = trainer.images
    of_name = [torch.nonzero(seen["name"] == i).flatten() for i in range(len(images.names))]
    known = [i for i, rows in enumerate(of_name) if len(rows)]
    coloured = torch.nonzero(seen["colour"] >= 0).flatten()
    weight = torch.zeros(len(images.names), dtype=torch.double).index_add_(0, images.name, images.weight)[known]
    middle = torch.zeros(len(images.names), EMBEDDING).index_add_(0, seen["name"], seen["features"])[known]
    often = weight.float() * images.emoji[known]  # icons are too few to tell where their things lie
    moved = move(phrases.features, images.features[known], functional.normalize(middle, dim=1), often)
    move_words(model, phrases, moved)
    phrases, optimizer = replace(phrases, features=moved), TextOptimizer(model)
    for step in range(steps):
        ids = [known[i] for i in torch.multinomial(weight, batch).tolist()]
        rows = [int(of_name[i][rng.randrange(len(of_name[i]))]) for i in ids]
        given = encode(model, [say(images.names[i], True, rng) for i in ids])
        near = trainer.near[ids][:, ids]
        near = near / near.sum(1, keepdim=True)
        scores = 25 * given @ seen["features"][rows].T
        loss = -(near * (functional.log_softmax(scores, 1) + functional.log_softmax(scores.T, 1))).sum(1).mean() / 2
        some = coloured[torch.randint(len(coloured), (12,))]
        captions = [say(f"{c} {images.names[int(seen['name'][i])]}", True, rng) for i in some for c in colours]
        said = encode(model, captions).view(len(some), len(colours), -1)
        choice = 25 * torch.einsum("nd,ncd->nc", seen["features"][some], said)
        loss = loss + 0.3 * functional.cross_entropy(choice, seen["colour"][some])
        teacher, cosine = teacher_loss(model, phrases, 384, rng)
        optimizer.step(loss + 2 * teacher, 1.5e-3 * min(1, (step + 1) / 30) * (1 - step / steps))
        if step % 50 == 49:
            print(f"align step {step + 1}, loss {loss:.3f}, teacher cosine {cosine:.3f}", flush=True)


@torch.no_grad()
def calibrate(model: CLIP, trainer: Trainer, back: Images) -> float:
    """Choose the logit scale under which the kept-back images' probabilities are most honest."""
    names = trainer.images.name[trainer.images.weight > 0].unique().tolist()
    images = plain(back.pixels[back.row])
    with half_precision():
        features = functional.normalize(
            trainer.average(images.contiguous(memory_format=torch.channels_last)).float(), dim=1
        )
    texts = torch.cat([encode(model, [f"a picture of {trainer.images.names[i]}" for i in part.tolist()])
                       for part in torch.tensor(names).split(256)])  # fmt: skip
    cosines, place = features @ texts.T, {name: i for i, name in enumerate(names)}
    right = torch.tensor([place[i] for i in back.name.tolist()])
    scales = torch.arange(5, 101).float()
    losses = torch.stack([functional.cross_entropy(scale * cosines, right) for scale in scales])
    top = cosines.topk(5).indices == right.view(-1, 1)
    print(f"kept back, by text: top-1 {top[:, 0].float().mean():.3f}, top-5 {top.any(1).float().mean():.3f}; "
          f"right {cosines[range(len(right)), right].mean():.3f}, all {cosines.mean():.3f}")  # fmt: skip
    return float(scales[losses.argmin()])


def export(model: CLIP, trainer: Trainer, scale: float, path: Path) -> None:
    """Write both sides as one state dict in half precision."""
    joined = make_model()
    visual = {f"visual.{name}": value for name, value in trainer.average.state_dict().items()}
    joined.load_state_dict(model.state_dict() | visual)
    joined.logit_scale.data.fill_(np.log(scale))
    save_half(joined.state_dict(), path)


def save_half(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write a state dict in half precision."""
    halved = {k: v.half() if v.is_floating_point() and v.ndim else v for k, v in state.items()}
    torch.save({k: v.contiguous() for k, v in halved.items()}, path)
    scale = state["logit_scale"].exp()
    print(f"logit scale {scale:.0f}; wrote {path.name}, {path.stat().st_size / 1e6:.1f} MB", flush=True)


def main() -> None:
    """Train the text side, then align it with the images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="steps with the teacher")
    parser.add_argument("--align-steps", type=int, default=600, help="steps with the images")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the threads of so small a model would mostly wait for each other
    torch.set_flush_denormal(True)
    root = data_folder()
    image_state, output = root / "image-state.pt", root / "tiny.pt"
    if output.exists() and output.stat().st_mtime > image_state.stat().st_mtime:
        return
    model = learn_from_teacher(root, options.steps)
    images, back = load_images(root)
    trainer = Trainer(images)
    trainer.load(image_state)
    trainer.average.eval()
    align(model, trainer, load_phrases(root), options.align_steps)
    export(model, trainer, calibrate(model, trainer, back), output)


if __name__ == "__main__":
    main()
