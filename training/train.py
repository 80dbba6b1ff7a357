"""Train the image side of `tiny`: a soft choice among all names, in the teacher's fixed text space.

Run ``python -m training.train`` after ``teach``. The learning rate stays constant for two thirds of the way, then
falls to zero. State is saved every few minutes, and the same command resumes from it.
"""

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from clip.model import ModifiedResNet
from torch.nn import functional

from training.augment import MEAN, STD, augment, half_precision
from training.get_data import data_folder
from training.render import DOODLES
from training.scenes import COLOURS

LAYERS, WIDTH, EMBEDDING, SIDE = (1, 1, 2, 1), 32, 384, 64
SAVE_EVERY = 240  # seconds
NO_MIRROR = set(
    "left right flag clock oclock thirty keycap button arrow hand fist letter input square facing east west sign hash "
    "regional index backhand thumbs".split()
)


@dataclass
class Images:
    """All training images with what the training must know of each.

    ``pixels``, ``shrunk``: (all, side, side, 4) bytes, of 112 and of 80 pixels; ``row``: (n,) which of them these are.
    ``name``: (n,) index into ``names``. ``doodle``: (n,) whether a player of Quick, Draw! drew it. ``weight``: (n,) how
    often each is drawn, ``calm_weight``: towards the end.
    ``features``: (names, d) unit rows, the teacher's. ``colour_row``, ``ground_row``: (names,) first row of the eleven
    colour phrases of a name in ``phrases``, or -1. ``emoji``: (names,) 1 for an emoji's, else 0. ``alias``: for each
    name, indices of names that mean nearly it.
    """

    pixels: np.ndarray
    shrunk: np.ndarray
    row: np.ndarray
    name: torch.Tensor
    mono: torch.Tensor
    doodle: torch.Tensor
    full: torch.Tensor
    flip: torch.Tensor
    weight: torch.Tensor
    calm_weight: torch.Tensor
    names: list[str]
    features: torch.Tensor
    phrases: torch.Tensor
    colour_row: torch.Tensor
    ground_row: torch.Tensor
    emoji: torch.Tensor
    alias: list[list[int]]


def choose_weights(rows: list[list[str]], emoji_names: set[str], emoji_share: float) -> torch.Tensor:
    """Weight each image ``(name, set, kind)`` so that emoji make ``emoji_share``, and coloured sets most of them.

    A hundred doodles count as fifteen other images of the same thing. An emoji that has doodles is an everyday thing:
    it counts twice.
    """
    kind_weight = {"colour": 1.0, "mono": 0.4, "maze": 1.0, "game": 1.0}
    in_class = [kind_weight[kind] * (0.15 if source == DOODLES else 1.0) for _, source, kind in rows]
    everyday = {name for name, source, _ in rows if source == DOODLES}
    groups = ["drawn " + kind if source == "drawn" else "emoji" if name in emoji_names else "icon"
              for name, source, kind in rows]  # fmt: skip
    class_total, class_size = {}, {}
    for (name, _, _), group, w in zip(rows, groups, in_class, strict=True):
        class_total[group, name] = class_total.get((group, name), 0.0) + w
        class_size[group, name] = class_size.get((group, name), 0) + 1

    def importance(group: str, name: str) -> float:
        if group != "emoji":
            return min(class_size[group, name], 16) ** 0.5
        return 2.0 if name in everyday else 0.6 if name.startswith("flag ") else 1.0

    share = {"icon": 0.67, "drawn maze": 0.1, "drawn game": 0.1, "drawn mono": 0.13}
    share = {"emoji": emoji_share} | {group: part * (1 - emoji_share) for group, part in share.items()}
    group_total = {g: sum(importance(*key) for key in class_size if key[0] == g) for g in share}
    weights = [
        w / class_total[g, name] * importance(g, name) / group_total[g] * share[g]
        for (name, _, _), g, w in zip(rows, groups, in_class, strict=True)
    ]
    return torch.tensor(weights, dtype=torch.double)


def load_shrunk(root: Path, side: int = 80) -> np.ndarray:
    """Load all images at ``side`` pixels, enough to train with and quick to augment; make them when missing."""
    path, part = root / f"images-{side}.npy", root / f"images-{side}.part.npy"
    if not path.exists():
        pixels = np.load(root / "images.npy", mmap_mode="r")
        shrunk = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(len(pixels), side, side, 4))
        for first in range(0, len(pixels), 512):
            x = torch.from_numpy(pixels[first : first + 512].copy()).permute(0, 3, 1, 2).float()
            x[:, :3] *= x[:, 3:] / 255
            x = functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
            x[:, :3] *= 255 / x[:, 3:].clamp(min=1)
            shrunk[first : first + 512] = x.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        shrunk.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")


def load_images(root: Path) -> tuple[Images, Images]:
    """Load the training images and a slice kept back for decisions: a fifth of Twemoji's drawings."""
    rows = json.loads((root / "images.json").read_text())
    phrases = json.loads((root / "phrases.json").read_text())
    features = torch.from_numpy(np.load(root / "teacher.npz")["features"]).float()
    row_of, names = {text: i for i, text in enumerate(phrases["texts"])}, phrases["names"]
    index = {name: i for i, name in enumerate(names)}
    first_colour = next(iter(COLOURS))
    colour_row = torch.tensor([row_of.get(f"{first_colour} {name}", -1) for name in names])
    ground_row = torch.tensor([row_of.get(f"{name} on a {first_colour} background", -1) for name in names])
    emoji_names = {name for name, source, _ in rows if source in ("twemoji", "noto", "fluent-emoji")}
    back = torch.tensor([source == "twemoji" and index[name] % 5 == 0 for name, source, _ in rows])
    make = {
        "name": torch.tensor([index[name] for name, _, _ in rows]),
        "mono": torch.tensor([kind == "mono" for _, _, kind in rows]),
        "doodle": torch.tensor([source == DOODLES for _, source, _ in rows]),
        "full": torch.tensor([kind in ("maze", "game") for _, _, kind in rows]),
        "flip": torch.tensor([not any(word in NO_MIRROR for word in name.split()) for name, _, _ in rows]),
        "weight": choose_weights(rows, emoji_names, 0.70),
        "calm_weight": choose_weights(rows, emoji_names, 0.82),
    }
    shared = {
        "pixels": np.load(root / "images.npy", mmap_mode="r"),
        "shrunk": load_shrunk(root),
        "names": names,
        "features": features[torch.tensor([row_of[name] for name in names])],
        "phrases": features,
        "colour_row": colour_row,
        "ground_row": ground_row,
        "emoji": torch.tensor([float(name in emoji_names) for name in names]),
        "alias": [[index[t] for t in phrases["aliases"].get(name, []) if t in index] for name in names],
    }

    def part(mask: torch.Tensor) -> Images:
        return Images(row=np.flatnonzero(mask), **{key: value[mask] for key, value in make.items()}, **shared)

    return part(~back), part(back)


def make_visual() -> ModifiedResNet:
    """Make an untrained image side of CLIP; the last normalization of each residual block starts at zero."""
    visual = ModifiedResNet(LAYERS, output_dim=EMBEDDING, heads=WIDTH * 32 // 64, input_resolution=SIDE, width=WIDTH)
    std = (WIDTH * 32) ** -0.5
    for linear in (visual.attnpool.q_proj, visual.attnpool.k_proj, visual.attnpool.v_proj, visual.attnpool.c_proj):
        torch.nn.init.normal_(linear.weight, std=std)
    for name, parameter in visual.named_parameters():
        if name.startswith("layer") and name.endswith("bn3.weight"):
            torch.nn.init.zeros_(parameter)
    return visual.to(memory_format=torch.channels_last)


def learning_rate(done: float, seen: int, peak: float, warm_up: int, fall: float = 0.68) -> float:
    """Return the learning rate after the part ``done`` of the training: a short rise, constant, then down to zero."""
    return peak * min(1.0, (seen + 1) / warm_up) * min(1.0, max(0.0, (1 - done) / (1 - fall)))


def average_over_workers(parameters: list[torch.nn.Parameter]) -> None:
    """Set the gradients of all workers to their mean; alone, do nothing."""
    if not dist.is_initialized():
        return
    flat = torch.cat([p.grad.flatten() for p in parameters])
    dist.all_reduce(flat)
    parts = (flat / dist.get_world_size()).split([p.numel() for p in parameters])
    for p, part in zip(parameters, parts, strict=True):
        p.grad.copy_(part.view_as(p))


class Trainer:
    """The image side, its running average, and the optimizer; goes on from a saved state.

    Each worker process holds one and draws its own ``batch``; all start alike and share their gradients, so they stay
    alike. Two processes of one thread are several times as fast as one process of two threads.

    ``fall`` is the part of the training after which the learning rate falls, ``calm_from`` that after which the
    images are calmer; ``state`` begins the names of its files.
    """

    fall, calm_from, state = 0.68, 0.68, "image"
    kept = ("visual", "average", "optimizer")

    def __init__(self, images: Images, batch: int = 96, peak: float = 2e-3, warm_up: int = 30_000):
        torch.manual_seed(0)
        self.images, self.batch, self.peak, self.warm_up = images, batch, peak, warm_up
        self.seen, self.total, self.done, self.calm = 0, 0, 0.0, False
        self.colours = torch.tensor(list(COLOURS.values())) / 255
        self.near = functional.softmax((images.features @ images.features.T - 1) * 25, dim=1)
        self.scale = torch.nn.Parameter(torch.tensor(math.log(20.0)))
        self._build(self.make_visual())

    @classmethod
    def from_folder(cls, root: Path) -> tuple["Trainer", Images]:
        """Make a new trainer of the images in ``root``, and give the images that are kept back."""
        images, back = load_images(root)
        return cls(images), back

    def make_visual(self) -> torch.nn.Module:
        """Make an untrained image side."""
        return make_visual()

    def _build(self, visual: torch.nn.Module) -> None:
        self.visual = visual
        self.average = self.make_visual()
        self.average.load_state_dict(visual.state_dict())
        weights = [p for p in visual.parameters() if p.ndim >= 2]
        others = [p for p in visual.parameters() if p.ndim < 2]
        groups = [{"params": weights, "weight_decay": 0.1}, {"params": [*others, self.scale], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=self.peak, betas=(0.9, 0.98), fused=True)

    def draw_batch(self):
        """Draw images by weight and augment them: the batch, and the index of each one's name."""
        p, setting = self.images, {"pairs": 0.08, "white": 0.7} if self.calm else {}
        ids = torch.multinomial(p.calm_weight if self.calm else p.weight, self.batch, replacement=True)
        pixels = torch.from_numpy(p.shrunk[p.row[ids.numpy()]])
        batch = augment(pixels, p.mono[ids], p.full[ids], p.flip[ids], SIDE, self.colours, **setting)
        return batch, p.name[ids]

    def targets(self, batch, name: torch.Tensor) -> torch.Tensor:
        """Return the wanted probabilities (n, names): mostly the name, a little its near-synonyms; half for a pair."""
        spoken = name.clone()
        for i in torch.nonzero(torch.rand(len(name)) < 0.2).flatten().tolist():
            alias = self.images.alias[int(name[i])]
            if alias:
                spoken[i] = alias[int(torch.randint(len(alias), ()))]
        wanted = self.near[spoken]
        other = wanted[batch.neighbour.clamp(min=0)]
        return torch.where(batch.equal.view(-1, 1), 0.5 * (wanted + other), wanted)

    def colour_loss(self, features, name, which, first_row, scale) -> torch.Tensor:
        """Choose the right one among the eleven colour phrases of the drawing's name."""
        known = (which >= 0) & (first_row[name] >= 0)
        if not known.any():
            return features.sum() * 0
        rows = first_row[name[known]].view(-1, 1) + torch.arange(len(self.colours))
        scores = scale * torch.einsum("nd,ncd->nc", features[known], self.images.phrases[rows])
        return functional.cross_entropy(scores, which[known], reduction="sum") / len(name)

    def loss(self, batch, name: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of a batch, and the part of it that is the choice among names."""
        with half_precision():
            features = self.visual(batch.images.contiguous(memory_format=torch.channels_last))
        return self.compare(functional.normalize(features.float(), dim=1), batch, name, self.targets(batch, name))

    def compare(self, features, batch, name, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare unit rows with where the texts lie: the names as ``wanted``, and the colours."""
        scale = self.scale.exp().clamp(max=60)
        choice = -(wanted * functional.log_softmax(scale * features @ self.images.features.T, dim=1)).sum(1).mean()
        pull = 1 - (features * functional.normalize(wanted @ self.images.features, dim=1)).sum(1).mean()
        single = torch.where(batch.neighbour < 0, batch.colour, -1)
        ground = torch.where(batch.neighbour < 0, batch.ground, -1)
        colour = self.colour_loss(features, name, single, self.images.colour_row, scale)
        colour = colour + 0.5 * self.colour_loss(features, name, ground, self.images.ground_row, scale)
        return choice + pull + colour, choice

    def parameters(self) -> list[torch.nn.Parameter]:
        """List all that learns."""
        return [*self.visual.parameters(), self.scale]

    def step(self, done: float) -> float:
        """Take one step at the part ``done`` of the training; give the loss of the choice among names."""
        self.done, self.calm = done, done >= self.calm_from
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(done, self.seen, self.peak, self.warm_up, self.fall)
        loss, choice = self.loss(*self.draw_batch())
        self.optimizer.zero_grad()
        loss.backward()
        average_over_workers(self.parameters())
        torch.nn.utils.clip_grad_norm_(self.visual.parameters(), 1.0)
        self.optimizer.step()
        self.seen += self.batch * (dist.get_world_size() if dist.is_initialized() else 1)
        self.update_average(min(0.99, 1 - 10 / (10 + self.seen / 192)))
        return choice.item()

    @torch.no_grad()
    def update_average(self, keep: float) -> None:
        """Move the running average of the weights a little towards the weights."""
        torch._foreach_lerp_(list(self.average.parameters()), list(self.visual.parameters()), 1 - keep)

    @torch.no_grad()
    def refresh_statistics(self, batches: int = 60) -> None:
        """Estimate the average's batch normalization anew: its statistics were never its own."""
        norms = [m for m in self.average.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        if not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        self.average.train()
        for _ in range(batches):
            with half_precision():
                self.average(self.draw_batch()[0].images.contiguous(memory_format=torch.channels_last))
        self.average.eval()

    def save(self, path: Path) -> None:
        """Write the state in one go, so that a stop while writing loses nothing."""
        state = {name: getattr(self, name).state_dict() for name in self.kept}
        state |= {"scale": self.scale.data, "seen": self.seen, "total": self.total}
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a saved state."""
        state = torch.load(path, weights_only=True)
        for name in self.kept:
            getattr(self, name).load_state_dict(state[name])
        self.scale.data.copy_(state["scale"])
        self.seen, self.total = state["seen"], state["total"]
        self.calm = self.seen >= self.calm_from * self.total


def plain(pixels: np.ndarray) -> torch.Tensor:
    """Lay images on white and shrink them, without any augmentation: (n, 3, 64, 64)."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    x = x[:, :3] * x[:, 3:] + 1 - x[:, 3:]
    return (functional.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1) - MEAN) / STD


@torch.no_grad()
def check(trainer: Trainer, back: Images) -> float:
    """Return the top-1 among all emoji names of the images that were kept back."""
    images = plain(back.pixels[back.row])
    with half_precision():
        features = torch.cat([trainer.average(part) for part in images.split(128)])
    emoji = trainer.images.name[trainer.images.weight > 0].unique()
    scores = features.float() @ trainer.images.features.T
    top = emoji[scores[:, emoji].topk(5).indices]
    hits = top == back.name.view(-1, 1)
    top_1, top_5 = hits[:, 0].float().mean().item(), hits.any(1).float().mean().item()
    print(f"    kept back: top-1 {top_1:.3f}, top-5 {top_5:.3f} among {len(emoji)} names", flush=True)
    return top_1


def train(rank: int, kind: type[Trainer], workers: int, meeting: str, root: Path, total: int) -> None:
    """Train as worker ``rank`` of ``workers`` until ``total`` images were seen; the first one reports and saves."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers)
    (trainer, back), latest = kind.from_folder(root), root / f"{kind.state}-state.pt"
    if latest.exists():
        trainer.load(latest)
    trainer.total = total
    torch.manual_seed(trainer.seen + rank)
    shown = saved = checked = time.time()
    steps, mean = 0, None
    while trainer.seen < total:
        before, done = trainer.seen, trainer.seen / total
        loss = trainer.step(done)
        mean, steps = loss if mean is None else 0.98 * mean + 0.02 * loss, steps + 1
        if rank > 0:
            continue
        if steps % 100 == 0:
            rate, shown = 100 * (trainer.seen - before) / (time.time() - shown), time.time()
            print(f"{trainer.seen} seen, loss {mean:.3f}, {rate:.0f}/s", flush=True)
        if time.time() - saved > SAVE_EVERY:
            trainer.save(latest)
            saved = time.time()
        if time.time() - checked > 2.5 * SAVE_EVERY:
            trainer.refresh_statistics(20)
            check(trainer, back)
            checked = time.time()
    if rank == 0 and steps:
        trainer.refresh_statistics()
        trainer.save(latest)
        check(trainer, back)


def main(kind: type[Trainer] = Trainer, images: int = 6_400_000, about: str | None = __doc__) -> None:
    """Train the image side with one worker process a core."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=images, help="images to see in all")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="processes of one thread")
    options = parser.parse_args()
    load_shrunk(data_folder())
    with tempfile.TemporaryDirectory() as folder:
        arguments = (kind, options.workers, f"{folder}/meeting", data_folder(), options.images)
        torch.multiprocessing.spawn(train, arguments, nprocs=options.workers, daemon=True)


if __name__ == "__main__":
    main()
