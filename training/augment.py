"""Make each training image new: colours, grounds, places, shapes, outlines and neighbours, a batch at a time."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from helpers.models import emulates_bfloat16

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def half_precision() -> torch.autocast:
    """Compute in bfloat16 where the processor has it; emulated, it is many times slower than float32."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=not emulates_bfloat16(torch.device("cpu")))


@dataclass
class Batch:
    """Augmented images and what is known of them; -1 stands for no named colour, no neighbour.

    ``images``: (n, 3, size, size), normalized. ``colour``, ``ground``: (n,) index of the named colour.
    ``neighbour``: (n,) index within the batch of the drawing beside it. Where ``equal``, both share the image.
    """

    images: torch.Tensor
    colour: torch.Tensor
    ground: torch.Tensor
    neighbour: torch.Tensor
    equal: torch.Tensor


def choose_colours(
    n: int, table: torch.Tensor, white: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose ``n`` inks and grounds, many of them named colours of ``table``: (n, 3), index, (n, 3), index.

    ``white`` is the share of white grounds.
    """
    ink, ink_name = torch.rand(n, 3) * 0.9, torch.full((n,), -1)
    dark = torch.rand(n) < 0.6
    ink[dark] = torch.rand(int(dark.sum()), 3) * 0.15
    named = torch.rand(n) < 0.6
    ink_name[named] = torch.randint(len(table), (int(named.sum()),))
    ink[named] = table[ink_name[named]]
    ground, ground_name, kind = torch.rand(n, 3), torch.full((n,), -1), torch.rand(n)
    rest = 1 - white
    ground[kind < white] = 1 - 0.06 * torch.rand(int((kind < white).sum()), 1)
    dark = kind > 1 - 0.16 * rest
    ground[dark] = 0.15 * torch.rand(int(dark.sum()), 3)
    named = (kind >= white) & (kind < white + 0.44 * rest)
    ground_name[named] = torch.randint(len(table), (int(named.sum()),))
    ground[named] = table[ground_name[named]]
    jitter = 0.05 * torch.randn(2, n, 3)
    return (ink + jitter[0]).clamp(0, 1), ink_name, (ground + jitter[1]).clamp(0, 1), ground_name


def keep_contrast(ink: torch.Tensor, ground: torch.Tensor, ground_name: torch.Tensor, mono: torch.Tensor) -> None:
    """Where the ink of a silhouette and its ground are too alike, make the ground white or dark, in place."""
    alike = mono & ((ink - ground).abs().amax(1) < 0.3)
    ground[alike] = torch.where(ink[alike].mean(1, keepdim=True) > 0.6, 0.12, 0.97).expand(-1, 3)
    ground_name[alike] = -1


def place(n: int, flip: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
    """Choose the affine maps (n, 2, 3) that turn, scale, squeeze, shift and, where ``flip``, mirror images."""
    angle = torch.randn(n) * torch.where(torch.rand(n) < 0.15, 0.5, 0.1)
    scale = 0.78 * torch.exp(torch.rand(n) * torch.where(full, 0.3, 0.75))
    squeeze = torch.exp(torch.randn(n) * 0.06)
    mirror = torch.where(flip & (torch.rand(n) < 0.3), -1.0, 1.0)
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = angle.cos() * scale * squeeze * mirror, -angle.sin() * scale
    maps[:, 1, 0], maps[:, 1, 1] = angle.sin() * scale * mirror, angle.cos() * scale / squeeze
    maps[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.8 * (scale.view(-1, 1) - 0.6).clamp(min=0.05)
    return maps


def place_pairs(maps: torch.Tensor, equal: torch.Tensor) -> torch.Tensor:
    """Make room in ``maps`` for neighbours, in place, and give the neighbours' maps.

    Where ``equal``, the two stand side by side (or one above the other); else the neighbour is small, in a corner.
    """
    n, side = len(maps), torch.randint(2, (len(maps),)) * 2.0 - 1
    neighbours = torch.zeros_like(maps)
    zoom = torch.where(equal, 1.85 + 0.4 * torch.rand(n), 2.8 + 1.5 * torch.rand(n))
    neighbours[:, 0, 0] = neighbours[:, 1, 1] = zoom
    upright = torch.rand(n) < 0.25
    shift = torch.where(equal, zoom * 0.5, zoom * 0.72)
    neighbours[:, 0, 2] = torch.where(upright & equal, torch.zeros(n), -side * shift)
    neighbours[:, 1, 2] = torch.where(equal & ~upright, torch.zeros(n), (torch.randint(2, (n,)) * 2 - 1) * shift)
    neighbours[equal, :, 2] += 0.15 * torch.randn(int(equal.sum()), 2)
    maps[equal] = neighbours[equal]
    maps[equal, :, 2] = -neighbours[equal, :, 2]
    return neighbours


def draw_outlines(images: torch.Tensor) -> torch.Tensor:
    """Redraw images (n, 4, size, size), premultiplied, as flat fills with dark edges; some fills fade to white."""
    n = len(images)
    levels = torch.randint(2, 6, (n, 1, 1, 1)).float()
    fade = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
    edge = (functional.max_pool2d(images, 3, 1, 1) + functional.max_pool2d(-images, 3, 1, 1)).amax(1, keepdim=True)
    line = ((edge - 0.15 - 0.15 * torch.rand(n, 1, 1, 1)) * 5).clamp(0, 1)
    colour, alpha = images[:, :3], images[:, 3:]
    flat = torch.where(torch.rand(n, 1, 1, 1) < 0.5, (colour * levels).round() / levels, colour)
    flat = flat + fade * (alpha - flat)
    return torch.cat([flat * (1 - line), torch.maximum(alpha, line)], dim=1)


def bend(n: int, size: int) -> torch.Tensor:
    """Choose displacements (n, size, size, 2) that bend half of the images, as if another hand had drawn them."""
    amount = 0.07 * (torch.rand(n, 1, 1, 1) < 0.5)
    coarse = amount * torch.randn(n, 2, 4, 4)
    return functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def mix_colours(images: torch.Tensor, share: float = 0.5, spread: float = 0.1) -> torch.Tensor:
    """Mix the colour channels of a ``share`` of images (n, 4, size, size), premultiplied, to other hues."""
    mixed = torch.rand(len(images), 1, 1) < share
    matrix = torch.eye(3) + spread * mixed * torch.randn(len(images), 3, 3)
    colour = torch.einsum("nij,njhw->nihw", matrix, images[:, :3])
    return torch.cat([torch.minimum(colour.clamp(min=0), images[:, 3:]), images[:, 3:]], dim=1)


def erase(images: torch.Tensor, share: float = 0.25) -> torch.Tensor:
    """Empty a rectangle, a fifth to half as wide and high, of a ``share`` of images (n, 4, size, size)."""
    n, places = len(images), torch.linspace(0, 1, images.shape[-1]).view(1, 1, -1)
    length = (0.2 + 0.3 * torch.rand(n, 2, 1)) * (torch.rand(n, 1, 1) < share)
    inside = (places - torch.rand(n, 2, 1)).abs() < length / 2
    return images * ~(inside[:, 0, None, :, None] & inside[:, 1, None, None, :])


def augment(images: torch.Tensor, mono: torch.Tensor, full: torch.Tensor, flip: torch.Tensor, size: int,
            colours: torch.Tensor, pairs: float = 0.17, white: float = 0.5) -> Batch:  # fmt: skip
    """Augment a batch.

    Args:
        images: ``(n, side, side, 4)`` bytes, RGBA.
        mono, full, flip: ``(n,)`` whether each is a silhouette to colour, fills its frame, may be mirrored.
        size: the side of the result.
        colours: ``(colours, 3)`` the named colours, each in [0, 1].
        pairs, white: the share of images with a neighbour, and of white grounds.
    """
    n = len(images)
    x = images.permute(0, 3, 1, 2).float().div_(255)
    ink, ink_name, ground, ground_name = choose_colours(n, colours, white)
    ink_name[~mono] = -1
    keep_contrast(ink, ground, ground_name, mono)
    ground_name[full] = -1
    x[mono, :3] = ink[mono].view(-1, 3, 1, 1).expand(-1, -1, *x.shape[2:])
    x[:, :3] *= x[:, 3:]
    neighbour = torch.full((n,), -1)
    paired = torch.arange(n) < round(pairs * n)
    equal = paired & (torch.rand(n) < 0.45)
    k = int(paired.sum())
    maps = place(n, flip, full)
    beside = place_pairs(maps[:k], equal[:k])
    neighbour[:k] = torch.arange(n).roll(-k)[:k]
    grid = functional.affine_grid(maps, (n, 4, size, size), align_corners=False) + bend(n, size)
    y = functional.grid_sample(x, grid, align_corners=False)
    other = functional.grid_sample(
        x[neighbour[:k]], functional.affine_grid(beside, (k, 4, size, size), align_corners=False), align_corners=False
    )
    y[:k] = y[:k] + other * (1 - y[:k, 3:])
    y[~mono] = mix_colours(y[~mono])
    inked = (torch.rand(n) < 0.4) & ~mono & ~full
    y[inked] = draw_outlines(y[inked])
    y = erase(y)
    gray = (torch.rand(n) < 0.07) & ~mono
    y[gray, :3] = y[gray, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    ramp = torch.linspace(-0.5, 0.5, size)
    slope = 0.5 * torch.randn(n, 2, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.2)
    backdrop = ground.view(n, 3, 1, 1) + (slope[:, :1] * ramp.view(1, 1, 1, -1) + slope[:, 1:] * ramp.view(1, 1, -1, 1))
    composed = y[:, :3] + (1 - y[:, 3:]) * backdrop.clamp_(0, 1)
    gain, offset = 1 + 0.05 * torch.randn(n, 3, 1, 1), 0.03 * torch.randn(n, 1, 1, 1)
    return Batch((composed * gain + offset - MEAN) / STD, ink_name, ground_name, neighbour, equal)
