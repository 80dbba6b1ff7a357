"""Teach a model your own pairs of image and text, and mix what it learned with what it knew."""

import copy
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike

import torch

from helpers._clip import CLIP
from helpers._validation import number, path_of, whole
from helpers.finetune.dataset import Pairs, first_ten
from helpers.finetune.trainer import Measure, Settings, Trainer
from helpers.forward import refuse_no_clip
from helpers.images import ImageSource
from helpers.tokenizer import tokenize


@dataclass(frozen=True)
class FineTuneResult:
    """What `fine_tune` tells: every `Measure`, the one whose weights were kept, and why images were left out."""

    measures: tuple[Measure, ...]
    best: Measure
    unreadable: tuple[str, ...]


def fine_tune(
    model: CLIP,
    preprocess: Callable,
    pairs: Iterable[tuple[ImageSource, str]],
    held_out: Iterable[tuple[ImageSource, str]] = (),
    steps: int = 1000,
    batch_size: int = 64,
    learning_rate: float = 1e-5,
    every: int = 100,
    folder: str | PathLike | None = None,
    piece_size: int = 32,
    seed: int = 0,
    truncate: bool = False,
    progress: bool = True,
) -> FineTuneResult:
    """Train a model on your own pairs with CLIP's loss, and keep its best weights.

    Adam moves all weights that require a gradient, in float32; on CUDA the products are float16, with a scaled loss
    (not tested here). Batch normalization stays as it is. Equal captions, and captions of the same image, are no
    wrong answers to each other. Images are opened as they are needed, with the pipeline of `encode_images`. One that
    can't be read is left out, and a warning at the end lists the first ten.

    Args:
        model: from `load` or `clip.load`. It is changed: it ends in float32, with its best weights, also when an error
            or Ctrl-C ends the training. To train a part, freeze the rest: ``parameter.requires_grad_(False)``.
        preprocess: the transform that came with it. If it is random, no run gives the same bits again.
        pairs: ``(image, text)``, any iterable, kept as a list: give paths if they are many.
        held_out: the same, never trained on. The best weights are those of the highest accuracy on these, the earliest
            of equals, and the weights before the first step count, too. Without any, the last weights are the best.
        steps: one batch each; all pairs come once before one comes again, in an order that ``seed`` decides.
        batch_size: how many pairs are compared with each other.
        learning_rate: at its highest. It rises for a tenth of the steps, then falls to zero. 1e-5 suits OpenAI's
            models; 1e-4 ruins them (mlfoundations/open_clip#1093).
        every: measure, and save, after so many steps.
        folder: where ``best.pt``, a state dict that `load` takes, and ``training.pt`` are saved. The same call with a
            model that is loaded anew goes on from there, after a kill too, and on one machine ends with the same bits.
        piece_size: how many images or texts go through the model at once. A smaller piece takes less memory and
            gives the same gradient as the whole batch, but for rounding.
        seed: of the order.
        truncate: cut texts that are too long for the model (77 tokens) instead of refusing them.
        progress: show a bar, when the work takes longer than two seconds, with the loss beside the loss of guessing.

    Returns:
        ``measures``, each with ``step``, ``loss``, ``chance`` and ``accuracy``; ``best``, the one whose weights the
        model has; ``unreadable``, a line for each image left out.

    Raises:
        TypeError: what stands among the pairs is no image with a string, or another argument is of another kind.
        ValueError: training can't work: there are fewer than two pairs or texts, all is frozen, a number is out of its
            range, a text is too long, nothing can be read, or the folder holds another training.
        FloatingPointError: the loss or a gradient is not finite any more; the message names the step.
    """
    refuse_no_clip(model)
    settings = Settings(
        steps=whole("steps", steps),
        batch_size=whole("batch_size", batch_size),
        learning_rate=number("learning_rate", learning_rate),
        every=whole("every", every),
        piece_size=whole("piece_size", piece_size),
        seed=whole("seed", seed, 0),
    )
    if batch_size < 2:
        raise ValueError(f"batch_size is {batch_size}: a pair alone has nothing to be told from, and a loss of 0")
    if learning_rate <= 0:
        raise ValueError(f"learning_rate is {learning_rate}; it must be above 0, such as 1e-5")
    place = path_of("folder", folder) if folder else None
    known, unseen = Pairs(pairs, "pair"), Pairs(held_out, "held-out pair")
    if len(known.images) < 2:
        raise ValueError(f"there are {len(known.images)} pairs; give at least two, with different texts")
    tokens = tokenize(known.texts, model.context_length, truncate)
    if unseen.texts:
        tokenize(unseen.texts, model.context_length, truncate)
    trainer = Trainer(model.float().eval(), preprocess, known, unseen, settings)
    try:
        with torch.enable_grad():  # whatever the caller has switched off
            trainer.run(tokens, place, progress)
    except FloatingPointError as error:
        raise FloatingPointError(
            f"step {trainer.step}: {error}. The model has its best weights again: use a smaller learning_rate than "
            f"{learning_rate:g}, or look at what preprocess gives"
        ) from error
    finally:
        model.zero_grad(set_to_none=True)
        model.load_state_dict(trainer.best_weights)
    if trainer.unreadable:
        warnings.warn(f"{len(trainer.unreadable)} images were left out: {first_ten(trainer.unreadable)}", stacklevel=2)
    return FineTuneResult(tuple(trainer.measures), trainer.best, tuple(trainer.unreadable))


def interpolate_weights(old: CLIP, new: CLIP, share: float) -> CLIP:
    """Mix two models of one origin, weight by weight: ``(1 - share) · old + share · new``.

    What a model forgot when it was fine-tuned often comes back before what it learned is lost (WiSE-FT, Wortsman et
    al. 2022, arXiv 2109.01903).

    Args:
        old: the model before `fine_tune`; load it once more.
        new: the model after it.
        share: how much of the new one, from 0 to 1.

    Returns:
        A third model, in float32, in eval mode, on the device of ``new``.

    Raises:
        TypeError: these are no models, or ``share`` is no number.
        ValueError: ``share`` is out of its range, or the two have not the same tensors.
    """
    refuse_no_clip(old)
    refuse_no_clip(new)
    if not 0 <= number("share", share) <= 1:
        raise ValueError(f"share is {share}; it must be between 0, the old weights, and 1, the new ones")
    mixed = copy.deepcopy(new).float().eval()
    before, after = old.state_dict(), mixed.state_dict()
    if {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in after.items()}:
        raise ValueError("the two models are of different architectures: mix a model with its own fine-tuned weights")
    for name, tensor in after.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(before[name].to(tensor), tensor, share))
    return mixed
