"""Controls in a lesson. Where widgets are missing, as on GitHub, the first value is shown."""

from collections.abc import Callable


def slider(draw: Callable[[float], None], low: float, high: float, start: float, name: str) -> None:
    """Call ``draw`` with the value of a slider, now and whenever it moves; without ipywidgets once, with the start.

    Args:
        draw: shows something for a value, such as a plot.
        low, high: ends of the slider; its steps are a hundredth of the range.
        start: its first value.
        name: what the value is, beside the slider.
    """
    try:
        from ipywidgets import FloatSlider, interact
    except ImportError:
        draw(start)
        return
    step = (high - low) / 100
    control = FloatSlider(start, min=low, max=high, step=step, description=name, continuous_update=False)

    def redraw(value: float) -> None:
        draw(value)

    interact(redraw, value=control)


def text_field(show: Callable[[str], None], start: str, name: str = "") -> None:
    """Call ``show`` with the text of a field, now and whenever it changes; without ipywidgets once, with the start.

    An error in ``show`` becomes one line below the field.
    """
    try:
        from ipywidgets import Text, interact
    except ImportError:
        show(start)
        return

    def show_or_say(text: str) -> None:
        try:
            show(text)
        except ValueError as error:
            print(error)

    interact(show_or_say, text=Text(start, description=name, continuous_update=False))
