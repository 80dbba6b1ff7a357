"""Train the image side of `tiny-vit`: it copies the rows of `tiny`'s image side and learns the same names.

Run ``python -m training.train_vit`` after ``teach``. It needs ``helpers/weights/tiny.pt``, whose text
side it shares. It resumes as `training.train` does.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import torch
from clip.model import VisionTransformer, build_model
from torch.nn import functional

from helpers.models import TINY_PATH
from training.augment import half_precision
from training.get_data import data_folder
from training.train import EMBEDDING, SIDE, Images, Trainer, check, main
from training.train_text import calibrate, save_half
from training.train_text import encode as text_rows

PATCH, WIDTH, DEPTH = 8, 256, 4
CHANNELS = (256, 512)  # of `tiny`'s second and third layer
HINTED = (1, 2)  # blocks after which patches shall know what those layers say of their places
FEW, ALL_FROM = 32, 0.8  # the ViT sees so many patches of an image, and all of them after this part
TEMPLATES = ("a {}", "a picture of {}", "a picture of a {}")


def make_vit() -> VisionTransformer:
    """Make an untrained ViT of CLIP, its blocks as CLIP's own text side starts."""
    visual = VisionTransformer(SIDE, PATCH, WIDTH, DEPTH, WIDTH // 64, EMBEDDING)
    for block in visual.transformer.resblocks:
        torch.nn.init.normal_(block.attn.in_proj_weight, std=WIDTH**-0.5)
        torch.nn.init.normal_(block.mlp.c_fc.weight, std=(2 * WIDTH) ** -0.5)
        for linear in (block.attn.out_proj, block.mlp.c_proj):
            torch.nn.init.normal_(linear.weight, std=(2 * WIDTH * DEPTH) ** -0.5)
    return visual


def choose_patches(images: torch.Tensor, count: int) -> torch.Tensor:
    """Choose the ``count`` patches (n, count) of each image that differ the most from a plain ground."""
    contrast = functional.unfold(images, PATCH, stride=PATCH).view(len(images), 3, PATCH**2, -1).std(2).sum(1)
    return (contrast + 0.05 * torch.rand_like(contrast)).topk(count).indices


def take(rows: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Take the ``chosen`` (n, count) of each image's rows (n, patches, d)."""
    return rows.gather(1, chosen.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))


def encode(
    visual: VisionTransformer, images: torch.Tensor, chosen: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Do what ``visual`` does, in less time and with the ``chosen`` (n, count) patches alone.

    Returns:
        The features (n, d), and the patches' rows (n, count, width) after each block.
    """
    n, heads = len(images), visual.transformer.resblocks[0].attn.num_heads
    x = functional.linear(
        functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2), visual.conv1.weight.flatten(1)
    )
    x = take(x + visual.positional_embedding[1:].to(x.dtype), chosen)
    first = (visual.class_embedding + visual.positional_embedding[0]).to(x.dtype).expand(n, 1, -1)
    x = visual.ln_pre(torch.cat([first, x], dim=1))
    rows = []
    for block in visual.transformer.resblocks:
        attn, (widen, _, narrow) = block.attn, block.mlp
        qkv = functional.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        query, key, value = qkv.view(n, x.shape[1], 3, heads, -1).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(-1).to(value.dtype)
        x = x + attn.out_proj((weights @ value).transpose(1, 2).flatten(2))
        # QuickGELU is silu(1.702 x) / 1.702: here the factors go into the weights, which are fewer than the rows
        wide = functional.silu(functional.linear(block.ln_2(x), 1.702 * widen.weight, 1.702 * widen.bias))
        x = x + functional.linear(wide, narrow.weight / 1.702, narrow.bias)
        rows.append(x[:, 1:])
    return visual.ln_post(x[:, 0]) @ visual.proj, rows


class Teacher:
    """`tiny`'s image side: its unit rows, and what its second and third layer say of each patch."""

    def __init__(self):
        self.clip = build_model(torch.load(TINY_PATH, weights_only=True)).float().eval().requires_grad_(False)
        self.visual, self.maps = self.clip.visual.to(memory_format=torch.channels_last), []
        for layer in (self.visual.layer2, self.visual.layer3):
            layer.register_forward_hook(lambda _, __, output: self.maps.append(output))

    def __call__(self, images: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the rows (n, d), and two maps (n, count, channels) at the ``chosen`` (n, count) patches."""
        self.maps.clear()
        with torch.no_grad(), half_precision():
            rows = self.visual(images.contiguous(memory_format=torch.channels_last))
        maps, grid = [], SIDE // PATCH
        for output in self.maps:
            side = output.shape[-1]  # layer 3 has one place for four patches
            places = (chosen // grid * side // grid) * side + chosen % grid * side // grid
            said = take(output.flatten(2).transpose(1, 2), places).float()
            maps.append(functional.layer_norm(said, said.shape[2:]))
        return functional.normalize(rows.float(), dim=1), maps


def place_texts(root: Path) -> dict[str, torch.Tensor]:
    """Return where `tiny`'s text side puts the names, and the phrases of which the training makes use."""
    path, part = root / "tiny-places.pt", root / "tiny-places.part"
    if not path.exists():
        stored = json.loads((root / "phrases.json").read_text())
        row_of = {text: i for i, text in enumerate(stored["texts"])}
        texts = list(dict.fromkeys(stored["names"] + stored["coloured"] + stored["ground"]))
        model, places = Teacher().clip, torch.zeros(len(row_of), EMBEDDING)
        with torch.no_grad():
            for first in range(0, len(texts), 256):
                some = texts[first : first + 256]
                said = sum(text_rows(model, [template.format(text) for text in some]) for template in TEMPLATES)
                places[[row_of[text] for text in some]] = functional.normalize(said, dim=1)
        torch.save({"features": places[[row_of[name] for name in stored["names"]]], "phrases": places}, part)
        part.rename(path)
    return torch.load(path, weights_only=True)


class Both:
    """Muon for the matrices within the blocks and AdamW for the rest, as one optimizer."""

    def __init__(self, matrices: list, weights: list, others: list, rate: float):
        groups = [{"params": weights, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.parts = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw", ns_steps=3),
            torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True),
        ]
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        """Take one step."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        """Return both states."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Go on from both states."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


class Student(Trainer):
    """The ViT, which learns from `tiny`'s image side and from where `tiny`'s text side puts the names."""

    fall, calm_from, state = 0.5, 0.0, "vit"
    kept = (*Trainer.kept, "hints")

    def __init__(self, images: Images, batch: int = 48, peak: float = 3e-3, warm_up: int = 12_000):
        self.teacher = Teacher()
        torch.manual_seed(0)
        self.hints = torch.nn.ModuleList(torch.nn.Linear(WIDTH, channels) for channels in CHANNELS)
        super().__init__(images, batch, peak, warm_up)

    @classmethod
    def from_folder(cls, root: Path) -> tuple[Trainer, Images]:
        """Make a new trainer whose texts lie where `tiny` puts them; how near names are stays the teacher's word."""
        trainer, back = super().from_folder(root)
        trainer.images = replace(trainer.images, **place_texts(root))
        return trainer, back

    def make_visual(self) -> VisionTransformer:
        """Make an untrained image side."""
        return make_vit()

    def _build(self, visual: VisionTransformer) -> None:
        self.visual, self.average = visual, make_vit()
        self.average.load_state_dict(visual.state_dict())
        matrices = [p for p in visual.transformer.parameters() if p.ndim == 2]
        inner = {id(p) for p in matrices}
        rest = [p for p in [*visual.parameters(), *self.hints.parameters()] if id(p) not in inner]
        weights, others = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
        self.optimizer = Both(matrices, weights, [*others, self.scale], self.peak)

    def parameters(self) -> list[torch.nn.Parameter]:
        """List all that learns."""
        return [*super().parameters(), *self.hints.parameters()]

    def loss(self, batch, name: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of a batch, and the part of it that is the choice among names.

        The rows shall be the teacher's, and find the names: half as the training says, half as the teacher does. On
        the way, the patches shall know what the teacher's layers say of their places.
        """
        chosen = choose_patches(batch.images, FEW if self.done < ALL_FROM else (SIDE // PATCH) ** 2)
        rows, maps = self.teacher(batch.images, chosen)
        with half_precision():
            features, inner = encode(self.visual, batch.images, chosen)
            hints = [hint(inner[i]).float() for hint, i in zip(self.hints, HINTED, strict=True)]
        features = functional.normalize(features.float(), dim=1)
        hint = sum(functional.mse_loss(a, b) for a, b in zip(hints, maps, strict=True))
        thought = functional.softmax(30 * rows @ self.images.features.T, dim=1)
        total, choice = self.compare(features, batch, name, 0.5 * (self.targets(batch, name) + thought))
        copy = 1 - (features * rows).sum(1).mean()
        self.parts = (copy.item(), hint.item())
        return total + 4 * copy + hint, choice


def export(root: Path) -> None:
    """Write the image side and the logit scale that suits it, in half precision; the text side is `tiny`'s."""
    trainer, back = Student.from_folder(root)
    trainer.load(root / "vit-state.pt")
    check(trainer, back)
    scale = torch.tensor(math.log(calibrate(trainer.teacher.clip, trainer, back)))
    visual = {f"visual.{name}": value for name, value in trainer.average.state_dict().items()}
    save_half(visual | {"logit_scale": scale}, root / "tiny-vit.pt")


if __name__ == "__main__":
    place_texts(data_folder())
    main(Student, 800_000, __doc__)
    export(data_folder())
