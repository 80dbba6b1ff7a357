"""Every lesson runs to its end with any CLIP: with random weights, the worst there is, and with $CLIP_MODEL if set.

    make random-models
    CLIP_MODEL=ViT-B/32 make random-models

What was seen with `tiny` need not be so with another model; tests/claims says what it is. But no cell may fail.
"""

import os
import re

import clip
import nbformat
import pytest
import torch
from nbclient import NotebookClient

from notebooks.refresh import NO_WIDGETS
from tests.test_lessons import LESSONS, NOTEBOOKS

IMAGE_SIDES = {
    "ViT": {"vision_layers": 2, "vision_width": 64, "vision_patch_size": 8},
    "ResNet": {"vision_layers": (1, 1, 1, 1), "vision_width": 8, "vision_patch_size": None},
}
TEXT_SIDE = {"context_length": 77, "vocab_size": 49408, "transformer_width": 64, "transformer_heads": 1}
SIZE = 64
EMPTY = "%reset -f\n__spec__ = None\nimport torch\ntorch.set_grad_enabled(True)"  # as a new kernel has it


@pytest.fixture(scope="module", params=[*IMAGE_SIDES, *filter(None, [os.environ.get("CLIP_MODEL")])])
def model_name(request, tmp_path_factory):
    """A name for `load`: of a file with random weights, a TorchScript archive in half precision as OpenAI's are."""
    if request.param not in IMAGE_SIDES:
        return request.param
    torch.manual_seed(0)
    model = clip.model.CLIP(64, SIZE, **IMAGE_SIDES[request.param], **TEXT_SIDE, transformer_layers=2).eval()
    archive = torch.jit.trace(model, (torch.zeros(1, 3, SIZE, SIZE), clip.tokenize("a cat")), check_trace=False)
    path = tmp_path_factory.mktemp("random") / f"{request.param}.pt"
    archive.half().save(path)
    return str(path)


def test_every_lesson_runs_to_its_end(model_name, monkeypatch):
    """One kernel for all of them, emptied between two: most of the time is the start of a kernel.

    Without widgets: while nbclient answers one, it can miss the kernel's reply, and waits for the whole timeout.
    """
    monkeypatch.setenv("CLIP_MODEL", model_name)
    course = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NO_WIDGETS)])
    for path in LESSONS:
        lesson = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        course.cells += [*lesson, nbformat.v4.new_code_cell(EMPTY)]
        for number, cell in enumerate(lesson):
            cell.metadata["place"] = f"{path.name} Cell {number}"
    NotebookClient(
        course, timeout=600, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": NOTEBOOKS}}
    ).execute()
    failed = {
        cell.metadata["place"]: re.sub(r"\x1b\[\d+m", "", f"{output.ename}: {output.evalue}")
        for cell in course.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    assert failed == {}
