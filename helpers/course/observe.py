"""What the lessons share: how they tell what was seen with a trained model from what must be true of every CLIP."""


def observe(model_name: str, seen: bool, claim: str) -> None:
    """Check an observation: something that a trained model shows, and that no law demands of every CLIP.

    The lessons were written with `tiny`, so with `tiny` a claim is checked as hard as by ``assert``. Another model may
    show something else. Then one sentence says so, and the lesson goes on.

    Args:
        model_name: what the lesson gave to `load`.
        seen: whether this model shows it.
        claim: the claim as a sentence without its full stop, such as "every drawing finds its caption".

    Raises:
        AssertionError: the model is `tiny`, and it does not show what the lesson says of it.
    """
    if not seen:
        message = f"not so with {model_name}: {claim}"
        if model_name == "tiny":
            raise AssertionError(message)
        print(message)
