"""How every plot of the lessons looks, and the diagrams."""

import contextlib

from helpers.course.drawings import IMAGES

DIAGRAMS = IMAGES / "diagrams"


def plot_style() -> None:
    """Apply the course's style to all later plots, in double resolution.

    The style is in ``style.mplstyle``: a transparent background, grey text, and colours that colour-blind readers can
    tell apart, each with a marker and a dash of its own.
    """
    import matplotlib.pyplot as plt

    plt.style.use("helpers.course.style")
    with contextlib.suppress(ImportError):  # outside a notebook there is no backend to ask
        from matplotlib_inline import backend_inline

        backend_inline.set_matplotlib_formats("retina")
        backend_inline._fetch_figure_metadata = lambda _: None  # else it asks for a dark slab behind our grey text


def diagram(name: str) -> object:
    """Show one of the diagrams of the course, such as "two-encoders", below the cell.

    A cell shows it where a link to a file would lead nowhere, on Colab for one. The file adapts to a dark page.
    """
    from IPython.display import SVG

    return SVG(filename=str(DIAGRAMS / f"{name}.svg"))
