"""Save a training run in a folder, so that it survives a kill and is not confused with another run."""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from PIL import Image

from helpers._checkpoint import write_whole
from helpers._clip import CLIP
from helpers._files import sha256_of
from helpers._validation import printable, reason
from helpers.encode import pixels_or_errors
from helpers.images import ImageSource, open_image

RUN, BEST = "training.pt", "best.pt"
LOCK = ".clip-fine-tune.lock"  # nobody else's, for locking empties the file


class Measure(NamedTuple):
    """How good the model was after a number of steps.

    Attributes:
        step: how many steps were done.
        loss: the mean since the measure before; NaN before the first step.
        chance: the loss of guessing for the same batches: the mean of ln(candidates).
        accuracy: the fraction of validation images that prefer their own text to all others; NaN without validation.
    """

    step: int
    loss: float
    chance: float
    accuracy: float


class Run:
    """The state of a run between two steps: all that has to survive a kill.

    Attributes:
        measures: so far.
        errors: why images were left out, each reason once, in order.
        best: the measure with the highest accuracy, the earliest of equals; the last one without validation.
        best_weights: the state dict that belongs to it, on the CPU.
    """

    def __init__(self, model: CLIP, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.measures, self.errors, self.best = list[Measure](), dict[str, None](), Measure(0, *3 * [np.nan])
        self.best_weights = _copy(model)

    def add(self, measure: Measure) -> None:
        """Add a measure, and copy the weights if they are the best so far."""
        self.measures.append(measure)
        if not measure.accuracy <= self.best.accuracy:  # NaN is never less
            self.best, self.best_weights = measure, _copy(self.model)

    def save(self, folder: Path, key: Mapping[str, object]) -> None:
        """Save it, and then the best weights if they are new: after a kill between the two, `resume` saves these."""
        state = {"key": dict(key), "measures": list(map(tuple, self.measures)), "best": tuple(self.best)}
        state |= {"errors": list(self.errors), "best_weights": self.best_weights}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        write_whole(folder / RUN, state)
        if self.best is self.measures[-1]:
            write_whole(folder / BEST, self.best_weights)

    def resume(self, folder: Path, key: Mapping[str, object]) -> None:
        """Continue the run that is saved in the folder, and save its best weights again; stay at the start if none is.

        Raises:
            ValueError: the file is damaged, its run has another key, or there are best weights without a run.
            OSError: the folder cannot be written.
        """
        path, best = folder / RUN, folder / BEST
        if not path.is_file():
            if best.exists():
                raise ValueError(
                    f"Expected {RUN} beside {printable(best)}; got none, so these weights are of another run. "
                    "Move them away, or name another folder."
                )
            return
        with _damage_told(path):
            with zipfile.ZipFile(path) as archive:  # torch itself compares no checksum
                if damaged := archive.testzip():
                    raise ValueError(damaged)
            state = torch.load(path, map_location="cpu", weights_only=True)
            theirs = dict(state["key"])
        other = [
            f"other {name}" if isinstance(mine, str) else f"{name}={theirs.get(name)} instead of {mine}"
            for name, mine in key.items()
            if theirs.get(name) != mine
        ]
        if other:
            raise ValueError(f"{printable(folder)} holds a different run, with {', '.join(other)}. Use another folder.")
        with _damage_told(path):
            errors, weights = dict.fromkeys(state["errors"]), state["best_weights"]
            self.measures, self.best = [Measure(*measure) for measure in state["measures"]], Measure(*state["best"])
            self.model.load_state_dict(weights)  # to find out whether it can be
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.errors, self.best_weights = errors, weights
        write_whole(best, self.best_weights)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file makes torch raise nearly anything
        why = "Move it and best.pt away to start the run again"
        raise ValueError(f"{printable(path)} is damaged. {why}.") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep every other run out of it.

    Raises:
        BlockingIOError: another run is using it.
        OSError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError(f"{printable(folder)} is in use by another run. Use another folder.") from error
    except OSError as error:
        raise OSError(f"Cannot write to {printable(folder)}: {reason(error)}. Use another folder.") from error
    with lock:
        yield


def sha256_of_pairs(pairs: Iterable[tuple[ImageSource, str]]) -> str:
    """Hash the content of all images and texts, in order."""
    return _sha256(f"{_content(image)} {text!r}\n".encode() for image, text in pairs)


def sha256_of_weights(weights: Mapping[str, torch.Tensor]) -> str:
    """Hash the values of a state dict in float32 on the CPU."""
    return _sha256(tensor.numpy().tobytes() for tensor in weights.values())


def sha256_of_preprocess(model: CLIP, preprocess: Callable) -> str:
    """Hash what the preprocessing makes of one fixed image; for a random one, torch's generator is set to 0."""
    noise = np.random.default_rng(0).integers(0, 256, (157, 211, 3), dtype=np.uint8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        (pixels,) = pixels_or_errors(model, preprocess)([Image.fromarray(noise)])
    return _sha256([np.asarray(pixels).tobytes()])


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _content(image: ImageSource) -> str:
    """Hash a file's bytes, or the pixels of what is open already."""
    try:
        if isinstance(image, (str, PathLike)):
            return sha256_of(Path(image))
        opened = open_image(image)
        return _sha256([f"{opened.size}".encode(), opened.tobytes()])
    except (OSError, ValueError):  # an ImageError is a ValueError
        return "unreadable"


def _copy(model: CLIP) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
