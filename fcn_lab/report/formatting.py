"""Intervals, probabilities, ranks and settings as text."""

from fcn_lab.report.intervals import Estimate
from fcn_lab.text.escaping import UNKNOWN_VALUE
from fcn_lab.text.terminal import format_percent

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_interval(estimate: Estimate, level: float = 0.95, sign: bool = False) -> str:
    """Returns the interval in per cent; a dash where the frames do not determine it.

    Without `sign` it is a score's, which lies in 0…1 and ends there.
    """
    if not estimate.is_known:
        return UNKNOWN_VALUE
    low, high = estimate.interval(level)
    return format_ends(*((low, high) if sign else (max(low, 0.0), min(high, 1.0))), sign=sign)


def format_ends(low: float, high: float, sign: bool = True) -> str:
    """Returns an interval in per cent, with digits enough to show on which side of 0 it ends."""
    ends = [abs(100 * end) for end in (low, high) if end]
    digits = next((n for n in (1, 2, 3) if all(round(end, n) for end in ends)), 4)
    return f"[{format_percent(low, digits, sign)}, {format_percent(high, digits, sign)}]"


def format_probability(value: float) -> str:
    """Formats a probability with three decimals; a smaller one only as below 0.001."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_rank(first: int, last: int) -> str:
    """Returns a rank as one place or, where several are possible, as from–to."""
    return str(first) if first == last else f"{first}–{last}"


def format_setting(value: object) -> str:
    """Returns a setting as people write it: 0.003, and 2×10⁻⁹ in place of 2e-09."""
    if not isinstance(value, float):
        return str(value)
    factor, _, power = f"{value:g}".partition("e")
    return f"{factor}×10{str(int(power)).translate(SUPERSCRIPTS)}" if power else factor
