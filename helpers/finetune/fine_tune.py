"""Fine-tune a model on your own pairs of image and text, and interpolate between its old and its new weights."""

import copy
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain
from os import PathLike

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from helpers._clip import CLIP
from helpers._validation import number, path_of, shown, whole
from helpers.encode import encode_batches, encode_texts, pixels_or_errors, progress_bar
from helpers.finetune.loss import contrastive_loss
from helpers.finetune.run import Measure, Run, locked, sha256_of_pairs, sha256_of_preprocess, sha256_of_weights
from helpers.forward import refuse_no_clip
from helpers.images import ImageError, ImageSource
from helpers.similarity import cosine_similarity
from helpers.threads import batches, in_shares
from helpers.tokenizer import tokenize

LARGEST_LOGIT_SCALE = math.log(100)  # as in CLIP's own training (Radford et al. 2021, section 2.5)
LONGEST_GRADIENT = 1.0
WARM_UP = 0.1  # of all steps
MEASURES = 10
IMAGES_AT_ONCE = 64
Pair = tuple[ImageSource, str]


@dataclass(frozen=True)
class FineTuneResult:
    """What `fine_tune` returns.

    Attributes:
        measures: a `Measure` before the first step and one at each tenth of the steps.
        best: the one whose weights the model has.
        errors: a line for each image that was left out.
    """

    measures: tuple[Measure, ...]
    best: Measure
    errors: tuple[str, ...]


def fine_tune(
    model: CLIP,
    preprocess: Callable,
    pairs: Iterable[Pair],
    validation: Iterable[Pair] = (),
    steps: int = 1000,
    batch_size: int = 64,
    learning_rate: float = 1e-5,
    folder: str | PathLike | None = None,
) -> FineTuneResult:
    """Train a model on your own pairs with CLIP's loss, and keep its best weights.

    Adam trains, in float32, every parameter that requires a gradient, except those of batch normalization. Pairs with
    equal captions or the same image are not used as negatives of each other. Images are opened when they are needed, as
    `encode_images` opens them; those that cannot be read are left out, and one warning at the end lists the first ten.

    Args:
        model: from `load` or `clip.load`. It is changed in place: it ends in eval mode, in float32 and with its best
            weights, even if an error or Ctrl-C ends the run. To train only some parameters, freeze the others first:
            ``parameter.requires_grad_(False)``.
        preprocess: the transform that came with the model.
        pairs: any iterable of ``(image, text)``; it is kept as a list, so pass paths if there are many images.
        validation: held-out pairs. The best weights are those with the highest accuracy on these pairs, the earliest in
            case of a tie, and the weights before the first step are among the candidates. Without validation pairs,
            the last weights are kept.
        steps: number of batches to train on. Every pair is used once before any is used again, in an order that is the
            same in every run.
        batch_size: number of pairs that are compared with each other. They go through the model together, so memory
            grows with this number.
        learning_rate: the peak; the rate rises for a tenth of the steps, then falls to zero. 1e-5 is a common start for
            OpenAI's models; a rate ten times as high may ruin them.
        folder: folder for two files, which are saved at each tenth of the steps: ``best.pt``, a state dict that `load`
            takes, and ``training.pt``, from which the same call with a newly loaded model resumes. A resumed run ends
            with the same weights, bit by bit, if the machine is the same and ``preprocess`` is not random.

    Returns:
        The measures, the best of them, and the reason for each image that was left out.

    Raises:
        TypeError: an argument has the wrong type, or something in ``pairs`` is not an image with a string.
        ValueError: there are fewer than two different texts, every parameter is frozen, a number is out of range, a
            text is too long, no image can be read, or the folder holds a run with other options, pairs, preprocessing,
            initial weights or trained parameters.
        BlockingIOError: another run is using the folder.
        FloatingPointError: the loss or its gradient is no longer finite; the message names the step.
        OSError: the folder cannot be written.
    """
    refuse_no_clip(model)
    steps, batch_size = whole("steps", steps), whole("batch_size", batch_size, 2)
    if number("learning_rate", learning_rate) <= 0:
        raise ValueError(f"Expected learning_rate above 0; got {learning_rate}. Try 1e-5.")
    place = None if folder is None else path_of("folder", folder)
    train, held_out = _checked("pairs", pairs, model), _checked("validation", validation, model)
    if not train:
        raise ValueError("Expected at least two different texts in pairs; got no pairs.")
    trained = _trained(model.float().eval())
    run = Run(model, torch.optim.Adam(trained.values(), betas=(0.9, 0.98), eps=1e-6))
    key: dict[str, object] = {}
    with locked(place) if place else nullcontext(), torch.enable_grad():  # whatever the caller has switched off
        try:
            if place:
                key = {
                    "steps": steps,
                    "batch_size": batch_size,
                    "learning_rate": learning_rate,
                    "pairs": sha256_of_pairs(train),
                    "validation": sha256_of_pairs(held_out),
                    "preprocess": sha256_of_preprocess(model, preprocess),
                    "trained parameters": " ".join(trained),
                    "initial weights": sha256_of_weights(run.best_weights),
                }
                run.resume(place, key)
            for measure in _train(run, preprocess, train, held_out, steps, batch_size, learning_rate):
                run.add(measure)
                if place:
                    run.save(place, key)
        finally:
            model.zero_grad(set_to_none=True)
            model.load_state_dict(run.best_weights)
    if run.errors:
        warnings.warn(f"{len(run.errors)} images were left out: {_first_ten(run.errors)}", stacklevel=2)
    return FineTuneResult(tuple(run.measures), run.best, tuple(run.errors))


def _train(
    run: Run,
    preprocess: Callable,
    pairs: list[Pair],
    validation: list[Pair],
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> Iterator[Measure]:
    """Train from the current step of the run to the last; yield a measure at the start and at each tenth."""
    if not run.measures:
        yield Measure(0, math.nan, math.nan, _accuracy(run, preprocess, validation))
    model, optimizer, device = run.model, run.optimizer, run.model.logit_scale.device
    group, first, losses = optimizer.param_groups[0], run.measures[-1].step, list[tuple[float, float]]()
    texts, text_of = _numbered([text for _, text in pairs])
    _, image_of = _numbered([str(i) if isinstance(i, (str, PathLike)) else id(i) for i, _ in pairs])
    tokens, _ = tokenize(model, texts)
    tenths = {round(steps * part / MEASURES) for part in range(1, MEASURES + 1)}
    with closing(_opened(run, preprocess, pairs, range(first, steps), batch_size)) as opened:
        for step, (rows, pixels) in enumerate(opened, start=first + 1):
            same = _equal(text_of[rows]) | _equal(image_of[rows])
            if not same.all():  # else there is nothing to tell apart
                captions, caption_of = text_of[rows].unique(return_inverse=True)  # an equal one is encoded once
                image_features = model.encode_image(torch.stack(pixels).to(device))
                text_features = model.encode_text(tokens[captions].to(device))[caption_of.to(device)]
                loss = contrastive_loss(image_features, text_features, model.logit_scale.exp(), same.to(device))
                optimizer.zero_grad()
                loss.backward()
                length = torch.nn.utils.clip_grad_norm_(group["params"], LONGEST_GRADIENT)
                if not (loss.isfinite() and length.isfinite()):
                    raise FloatingPointError(
                        f"Expected a finite loss at step {step}; got {loss:g}, and a gradient of norm {length:g}. "
                        f"Use a learning_rate below {learning_rate:g}."
                    )
                group["lr"] = learning_rate * _schedule(step, steps)
                optimizer.step()
                with torch.no_grad():
                    model.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)
                candidates = len(rows) - same.sum(dim=1) + 1
                losses.append((loss.item(), candidates.log().mean().item()))
            if step in tenths:
                mean_loss, chance = np.mean(losses, axis=0).tolist() if losses else (math.nan, math.nan)
                yield Measure(step, mean_loss, chance, _accuracy(run, preprocess, validation))
                losses = []
    if all(math.isnan(measure.loss) for measure in run.measures):
        why = _first_ten(run.errors) or "no batch had two different texts"
        raise ValueError(f"Expected images to learn from; got none in {steps} steps: {why}.")


def _opened(
    run: Run, preprocess: Callable, pairs: list[Pair], steps: range, size: int
) -> Generator[tuple[list[int], list[torch.Tensor]], None, None]:
    """Open each step's images while the steps before it run: yield the pairs that can be read, and their pixels."""
    images = ([pairs[row][0] for row in _batch(step, len(pairs), size)] for step in steps)
    opened = in_shares(pixels_or_errors(run.model, preprocess), images)
    with progress_bar(range(steps.stop), "steps", True) as bar:
        bar.update(steps.start)
        for step, found in zip(steps, opened, strict=True):
            run.errors |= {str(error): None for error in found if isinstance(error, ImageError)}
            pairs_read = zip(_batch(step, len(pairs), size), found, strict=True)
            read = [(row, pixels) for row, pixels in pairs_read if not isinstance(pixels, ImageError)]
            yield [row for row, _ in read], [pixels for _, pixels in read]
            bar.set_postfix_str(f"loss {run.measures[-1].loss:.2f}, guessing {run.measures[-1].chance:.2f}")
            bar.update(1)


def _batch(step: int, n: int, size: int) -> list[int]:
    """Return which of ``n`` pairs a step takes, counted from 0: every pair comes once before one comes again."""
    in_epoch = -(-n // size)
    epoch, place = divmod(step, in_epoch)
    return np.random.default_rng(epoch).permutation(n)[place::in_epoch].tolist()


def _schedule(step: int, steps: int) -> float:
    """Return the fraction of the learning rate at a step, counted from 1: it rises, then falls along half a cosine."""
    return min(1, step / max(1, WARM_UP * steps)) * (1 + math.cos(math.pi * (step - 1) / steps)) / 2


def _accuracy(run: Run, preprocess: Callable, validation: list[Pair]) -> float:
    """Return the fraction of the images that prefer their own text to all others; NaN without any."""
    if not validation:
        return math.nan
    texts, text_of = _numbered([text for _, text in validation])
    labelled = zip(text_of.tolist(), (image for image, _ in validation), strict=True)
    found = list(chain.from_iterable(encode_batches(run.model, preprocess, batches(labelled, IMAGES_AT_ONCE))))
    run.errors |= {str(error): None for _, error in found if isinstance(error, ImageError)}
    read = [(own, row) for own, row in found if not isinstance(row, ImageError)]
    if not read:
        raise ImageError("any validation image", _first_ten(run.errors))
    text_features = encode_texts(run.model, texts, progress=False)
    image_features = np.stack([row for _, row in read])
    if not (np.isfinite(text_features).all() and np.isfinite(image_features).all()):
        raise FloatingPointError(
            "Expected finite features of the validation pairs; got NaN or infinity. Use a smaller learning_rate."
        )
    nearest = cosine_similarity(text_features, image_features).argmax(axis=0)
    return float((nearest == [own for own, _ in read]).mean())


def _checked(name: str, pairs: Iterable[Pair], model: CLIP) -> list[Pair]:
    """List the pairs; refuse what training cannot work with."""
    if not isinstance(pairs, Iterable):
        raise TypeError(f"Expected {name} as a list of (image, text); got {shown(pairs)}.")
    pairs = list(pairs)
    for i, pair in enumerate(pairs):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], str)):
            raise TypeError(f"Expected (image, text) as {name}[{i}]; got {shown(pair)}.")
    texts = list({text: None for _, text in pairs})
    if len(texts) == 1:
        raise ValueError(f"Expected at least two different texts in {name}; got only {shown(texts[0])}.")
    tokenize(model, texts)
    return pairs


def _trained(model: CLIP) -> dict[str, torch.nn.Parameter]:
    """Return by name the parameters that learn: neither frozen nor of a batch normalization."""
    fixed = {weight for part in model.modules() if isinstance(part, _BatchNorm) for weight in part.parameters()}
    trained = {
        name: weight for name, weight in model.named_parameters() if weight.requires_grad and weight not in fixed
    }
    if not trained:
        raise ValueError("Every parameter is frozen. Call requires_grad_(True) on the ones to train.")
    return trained


def _numbered(items: list) -> tuple[list, torch.Tensor]:
    """Return the different items, and for each item its index among them."""
    index = {item: i for i, item in enumerate(dict.fromkeys(items))}
    return list(index), torch.tensor([index[item] for item in items])


def _equal(values: torch.Tensor) -> torch.Tensor:
    return values[:, None] == values


def _first_ten(reasons: Iterable[str]) -> str:
    reasons = list(reasons)
    return "; ".join(reasons[:10]) + ("; …" if len(reasons) > 10 else "")


def interpolate_weights(old: CLIP, new: CLIP, alpha: float) -> CLIP:
    """Interpolate between two models, weight by weight: ``(1 - alpha) · old + alpha · new``.

    This often restores what fine-tuning made a model forget before it loses what the model has learned (WiSE-FT,
    Wortsman et al. 2022, arXiv 2109.01903).

    Args:
        old: the model before `fine_tune`; load it again, because `fine_tune` changes a model in place.
        new: the model after it.
        alpha: the fraction of the new weights, from 0 to 1.

    Returns:
        A third model, in float32, in eval mode, on the device of ``new``.

    Raises:
        TypeError: ``old`` or ``new`` is not a CLIP, or ``alpha`` is not a number.
        ValueError: ``alpha`` is out of range, or the two do not have the same tensors.
    """
    refuse_no_clip(old)
    refuse_no_clip(new)
    if not 0 <= number("alpha", alpha) <= 1:
        raise ValueError(f"Expected alpha between 0, the old weights, and 1, the new ones; got {alpha}.")
    mixed = copy.deepcopy(new).float().eval()
    before, after = old.state_dict(), mixed.state_dict()
    if {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in after.items()}:
        raise ValueError(
            "Expected two models of the same architecture; got different tensors. "
            "Load old from the checkpoint that new started from."
        )
    for name, tensor in after.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(before[name].to(tensor), tensor, alpha))
    return mixed
