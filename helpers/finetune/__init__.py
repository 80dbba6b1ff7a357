"""Train with CLIP's loss: `loss` computes it, `fine_tune` trains with it, and `run` lets a run resume."""
