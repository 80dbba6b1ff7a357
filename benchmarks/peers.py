"""OpenAI's weights in the model classes of other libraries."""

import re
from collections.abc import Callable

import open_clip
import torch
from transformers import CLIPConfig, CLIPModel


def build_open_clip(
    state: dict[str, torch.Tensor], name: str = "ViT-B-32-quickgelu"
) -> tuple[torch.nn.Module, Callable]:
    """Give `open_clip` the weights as they are: ``(model, preprocess)``."""
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    model.load_state_dict(state)
    return model.eval(), preprocess


def build_transformers(state: dict[str, torch.Tensor]) -> CLIPModel:
    """Give `transformers` the weights of a ViT-B/32."""
    model = CLIPModel(
        CLIPConfig(
            text_config={"eos_token_id": 49407, "bos_token_id": 49406, "pad_token_id": 49407},
            vision_config={"patch_size": 32},
        )
    )
    model.load_state_dict(rename_for_transformers(state))
    return model.eval()


def rename_for_transformers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give OpenAI's weights the names of transformers, which keeps query, key and value apart."""
    names = [
        (r"^visual\.transformer\.resblocks", "vision_model.encoder.layers"),
        (r"^transformer\.resblocks", "text_model.encoder.layers"),
        (r"\.attn\.", ".self_attn."),
        (r"\.ln_([12])\.", r".layer_norm\1."),
        (r"\.mlp\.c_fc\.", ".mlp.fc1."),
        (r"\.mlp\.c_proj\.", ".mlp.fc2."),
        (r"^visual\.class_embedding", "vision_model.embeddings.class_embedding"),
        (r"^visual\.conv1", "vision_model.embeddings.patch_embedding"),
        (r"^visual\.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        (r"^visual\.ln_pre", "vision_model.pre_layrnorm"),
        (r"^visual\.ln_post", "vision_model.post_layernorm"),
        (r"^visual\.proj$", "visual_projection.weight"),
        (r"^text_projection$", "text_projection.weight"),
        (r"^token_embedding", "text_model.embeddings.token_embedding"),
        (r"^positional_embedding", "text_model.embeddings.position_embedding.weight"),
        (r"^ln_final", "text_model.final_layer_norm"),
    ]
    renamed = {}
    for name, value in state.items():
        for old, new in names:
            name = re.sub(old, new, name)
        if "projection.weight" in name:
            value = value.T
        if ".in_proj_" in name:
            for part, values in zip("qkv", value.chunk(3), strict=True):
                renamed[name.replace("in_proj_", f"{part}_proj.")] = values
        else:
            renamed[name] = value
    return renamed
