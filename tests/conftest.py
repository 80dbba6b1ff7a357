"""What every test shares."""

import multiprocessing
import sys
from pathlib import Path

import pytest
import torch
from clip.model import CLIP

import helpers

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "images"


@pytest.fixture(scope="session")
def tiny():
    """The bundled model: ``(model, preprocess)``."""
    return helpers.load("tiny")


@pytest.fixture(scope="session")
def random_vit():
    """A small ViT with random weights, in the official layout."""
    torch.manual_seed(0)
    return CLIP(
        embed_dim=64,
        image_resolution=32,
        vision_layers=2,
        vision_width=64,
        vision_patch_size=8,
        context_length=77,
        vocab_size=49408,
        transformer_width=64,
        transformer_heads=1,
        transformer_layers=2,
    ).eval()


@pytest.fixture(scope="session")
def processes():
    """Starts processes that have imported `helpers` already, and nothing else that takes memory."""
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload(["helpers"])
    return context
