"""Text and numbers in a terminal."""

from rich.console import Console, RenderableType


def format_number(value: object) -> str:
    """Large numbers in millions, fractions with four digits."""
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value / 1e6:,.2f} M"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_percent(value: float | None) -> str:
    """Formats a share in per cent, with one decimal; where there is none, a dash."""
    return "–" if value is None else f"{100 * value:.1f}"


def print_text(content: RenderableType) -> None:
    """Prints to the terminal; where there is none, a line stays a line."""
    console = Console()
    console.print(content, soft_wrap=isinstance(content, str), highlight=False, markup=False)
