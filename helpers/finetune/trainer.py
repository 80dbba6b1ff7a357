"""A training with CLIP's loss, step by step, that a kill can't undo."""

import math
import zipfile
from collections.abc import Callable, Iterator
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from helpers._checkpoint import refuse_damage, weights_sha256, write_whole
from helpers._clip import CLIP
from helpers._validation import printable, shown
from helpers.encode import pixels_or_errors, progress_bar
from helpers.finetune.dataset import Pairs, first_ten
from helpers.finetune.loss import add_gradients, others_that_fit
from helpers.images import ImageError
from helpers.threads import in_shares

LARGEST_SCALE = math.log(100)  # as OpenAI clipped it (Radford et al. 2021, section 2.5)
LONGEST_GRADIENT = 1.0
WARM_UP = 0.1  # of all steps
TRAINING, BEST = "training.pt", "best.pt"


class Measure(NamedTuple):
    """Where a training stood.

    Attributes:
        step: how many steps were done.
        loss: mean since the measure before; NaN before the first step.
        chance: the loss that guessing would have had: the mean of ln of the candidates.
        accuracy: of the held-out images, the share that prefers its own text to all others; NaN without any.
    """

    step: int
    loss: float
    chance: float
    accuracy: float


class Settings(NamedTuple):
    """What a training does; `fine_tune` describes each."""

    steps: int
    batch_size: int
    learning_rate: float
    every: int
    piece_size: int
    seed: int

    def rate(self, step: int) -> float:
        """Give the learning rate of a step, counted from 0: it rises, then falls along half a cosine."""
        rise = min(1, (step + 1) / max(1, WARM_UP * self.steps))
        return self.learning_rate * rise * (1 + math.cos(math.pi * step / self.steps)) / 2

    def order(self, n: int, first: int) -> Iterator[list[int]]:
        """Give the batches of ``n`` pairs from step ``first`` on, those of an epoch of even size."""
        in_epoch = -(-n // self.batch_size)
        for step in range(first, self.steps):
            epoch, place = divmod(step, in_epoch)
            if place == 0 or step == first:
                parts = np.array_split(np.random.default_rng([self.seed, epoch]).permutation(n), in_epoch)
            yield parts[place].tolist()


class Trainer:
    """A training between two steps: all that a kill must not take away, and how it goes on.

    Attributes:
        step: how many steps were done, the one under way among them.
        measures: one before the first step, one every so many steps, one at the end.
        best_weights: the state dict that belongs to `best`.
        unreadable: why images were left out, each reason once.
    """

    def __init__(self, model: CLIP, preprocess: Callable, pairs: Pairs, held_out: Pairs, settings: Settings) -> None:
        self.model, self.preprocess = model, preprocess
        self.pairs, self.held_out, self.settings = pairs, held_out, settings
        self.step, self.measures = 0, list[Measure]()
        self.unreadable = dict[str, None]()
        self.best_weights = _copy(model)
        frozen = {weight for part in model.modules() if isinstance(part, _BatchNorm) for weight in part.parameters()}
        self.weights = [weight for weight in model.parameters() if weight.requires_grad and weight not in frozen]
        if not self.weights:
            raise ValueError("all weights are frozen: call requires_grad_(True) on those that shall learn")
        self.optimizer = torch.optim.Adam(self.weights, betas=(0.9, 0.98), eps=1e-6)
        self.scaler = torch.amp.GradScaler("cuda", enabled=model.logit_scale.is_cuda)

    @property
    def best(self) -> Measure:
        """The highest accuracy, the earliest of equals; without held-out pairs, the last measure."""
        return max(self.measures, key=lambda measure: measure.accuracy) if self.held_out.texts else self.measures[-1]

    def run(self, tokens: torch.Tensor, folder: Path | None, progress: bool) -> None:
        """Go on from what the folder holds, up to the last step.

        Args:
            tokens: ``(texts, length)`` of the texts of the pairs.
            folder: where all is saved at each measure, if anywhere.
            progress: show a bar.
        """
        known = {"pairs": self.pairs.checksum(), "held_out": self.held_out.checksum()}
        about = {**self.settings._asdict(), **known, "weights": weights_sha256(self.model)}
        if folder and (state := _read(folder, about)):
            self._resume(state)
        else:
            self._measure([], folder, about)
        first = self.step
        now, ahead = tee(self.settings.order(len(self.pairs.images), first))
        images = ([self.pairs.images[i] for i in batch] for batch in ahead)
        opened = in_shares(pixels_or_errors(self.model, self.preprocess), images)
        done: list[tuple[float, float]] = []
        with progress_bar(range(self.settings.steps), "steps", progress) as bar:
            bar.update(first)
            for self.step, (found, batch) in enumerate(zip(opened, now, strict=True), start=first + 1):
                done += self._step(found, batch, tokens)
                if done:
                    bar.set_postfix_str("loss {:.2f}, guessing {:.2f}".format(*done[-1]), refresh=False)
                bar.update(1)
                if self.step % self.settings.every == 0 or self.step == self.settings.steps:
                    self._measure(done, folder, about)
                    done = []

    def _step(
        self, found: list[torch.Tensor | ImageError], batch: list[int], tokens: torch.Tensor
    ) -> list[tuple[float, float]]:
        """Learn from one batch. Give its loss and the loss of guessing, or nothing if it had nothing to tell apart."""
        self.unreadable |= {str(error): None for error in found if isinstance(error, ImageError)}
        pixels = [pixels for pixels in found if not isinstance(pixels, ImageError)]
        rows = [row for row, pixels in zip(batch, found, strict=True) if not isinstance(pixels, ImageError)]
        same = self.pairs.same(rows)
        if same.all():
            return []
        texts, text_of = self.pairs.text_of[rows].unique(return_inverse=True)
        longest = int(tokens[texts].argmax(dim=1).max()) + 1  # the end token has the largest number
        self.optimizer.zero_grad()
        inputs = pixels, tokens[texts, :longest], text_of
        loss = add_gradients(self.model, *inputs, same, self.settings.piece_size, self.scaler)
        self.scaler.unscale_(self.optimizer)
        length = torch.nn.utils.clip_grad_norm_(self.weights, LONGEST_GRADIENT)
        if not math.isfinite(loss) or not (self.scaler.is_enabled() or length.isfinite()):
            raise FloatingPointError(f"the loss is {loss:g}, and the length of its gradient {length:g}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.step - 1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)
        candidates = len(same) - others_that_fit(same, len(same)).sum(dim=1)
        return [(loss, candidates.log().mean().item())]

    def _measure(self, done: list[tuple[float, float]], folder: Path | None, about: dict[str, Any]) -> None:
        """Add a measure, keep the weights if they are the best, and save all."""
        loss, chance = np.mean(done, axis=0).tolist() if done else (math.nan, math.nan)
        accuracy = math.nan
        if self.held_out.texts:
            accuracy, unreadable = self.held_out.accuracy(self.model, self.preprocess)
            self.unreadable |= dict.fromkeys(unreadable)
        self.measures.append(Measure(self.step, loss, chance, accuracy))
        if self.step == self.settings.steps and all(math.isnan(measure.loss) for measure in self.measures):
            why = first_ten(self.unreadable) or "no batch had two different texts"
            raise ValueError(f"nothing was learned in {self.step} steps: {why}")
        if is_best := self.best.step == self.step:
            self.best_weights = _copy(self.model)
        if folder:
            state: dict[str, Any] = {"about": about, "unreadable": list(self.unreadable), "best": self.best_weights}
            state |= {"measures": [tuple(measure) for measure in self.measures]}
            state |= {name: part.state_dict() for name, part in self._parts().items()}
            write_whole(folder / TRAINING, state)
            if is_best or self.step == self.settings.steps:
                write_whole(folder / BEST, self.best_weights)

    def _resume(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.measures = [Measure(*measure) for measure in state["measures"]]
        self.step = self.measures[-1].step
        self.unreadable, self.best_weights = dict.fromkeys(state["unreadable"]), state["best"]

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler}


def _copy(model: CLIP) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


def _read(folder: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """Read the training of a folder; refuse one with other settings."""
    path = folder / TRAINING
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself looks at no checksum
            refuse_damage(archive)
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = dict(state["about"])
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise ValueError(f"{printable(path)} is damaged: delete it, and the training begins anew") from error
    for name, mine in about.items():
        if theirs.get(name) != mine:
            what = f"{name}={shown(theirs.get(name))}, not {mine}" if name in Settings._fields else f"other {name}"
            hint = "load the model anew, or " if name == "weights" else ""
            raise ValueError(f"{printable(folder)} holds a training with {what}: {hint}name another folder")
    return state
