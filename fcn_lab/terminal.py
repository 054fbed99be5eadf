"""Numbers as text, and text in a terminal."""

from rich.console import Console, RenderableType


def format_number(value: object) -> str:
    """Large numbers in millions, fractions with four digits."""
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value / 1e6:,.2f} M"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_percent(value: float | None, digits: int = 1, signed: bool = False) -> str | None:
    """Formats a share 0…1 in per cent, without the sign %; each table has its own mark for None."""
    if value is None:
        return None
    return f"{100 * value:{'+' if signed else ''}.{digits}f}"


def print_text(content: RenderableType) -> None:
    """Prints to the terminal; where there is none, a line stays a line."""
    console = Console()
    console.print(content, soft_wrap=isinstance(content, str), highlight=False, markup=False)
