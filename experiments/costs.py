"""What upsampling and many patches cost, and what the claims about it are worth.

Shares and ratios of one run hold on a busy machine; what counts as an answer stands in
experiments/README.md.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median

from claims import NOTES, format_row
from judging import Verdict

from fcn_lab import create_model
from fcn_lab.cost.dense_vs_patches import DenseComparison, compare_dense_with_patches
from fcn_lab.cost.measure import measure_parts

CLASSICAL = ("transposed", "bilinear", "nearest", "max_unpool", "bed_of_nails")
OPERATORS = (
    *CLASSICAL,
    *("bilinear_deterministic", "bicubic", "pixel_shuffle", "carafe", "dysample", "up_conv"),
)
# the claims are about the first two; sparse operators lack the third
FORMS = {"raw": "none", "refined": "conv", "convolved first": "conv_first"}
CLAIMED_FORMS = ("raw", "refined")
SPARSE = ("max_unpool", "bed_of_nails")
# of a training step: what is more is "intensive", or "much"
LARGE_SHARE = 0.25
GRID, TURNS = 4, 3  # patches a side, and how often they are compared

# by operator and form: of a step's time, and of what is kept for the backward pass
Shares = Mapping[tuple[str, str], tuple[float, float]]


def measure_shares(height: int, width: int, turns: int) -> Shares:
    """Measures what each operator takes of a training step of FCN-8s on the encoder tiny, 0…1.

    Seconds forward and backward are medians of so many turns; bytes are counted.
    """
    shares = {}
    for operator, (form, refine) in product(OPERATORS, FORMS.items()):
        if operator in SPARSE and form not in CLAIMED_FORMS:
            continue
        net = create_model("fcn8s", operator, **{"upsample.refine": refine})
        parts = measure_parts(net, height, width, repeats=turns)
        upsampling, total = parts["upsampling"], parts["total"]
        time = (upsampling.forward + upsampling.backward) / (total.forward + total.backward)
        shares[operator, form] = (time, upsampling.kept / total.kept)
    return shares


def tabulate_shares(shares: Shares) -> tuple[list[str], list[list[str]]]:
    """Returns the head of a table in % and its rows, one for each operator."""
    columns = list(product(enumerate(("time", "memory")), FORMS))
    head = ["operator", *(f"{resource}, {form}" for (_, resource), form in columns)]
    rows = [
        [
            operator,
            *(
                f"{100 * shares[operator, form][number]:.1f}" if (operator, form) in shares else "–"
                for (number, _), form in columns
            ),
        ]
        for operator in OPERATORS
    ]
    return head, rows


def compare_dense() -> list[DenseComparison]:
    """Compares one pass over an image with as many as it has scores, over the patch of each."""
    net = create_model("fcn32s", encoder="vgg16")
    return [compare_dense_with_patches(net, GRID) for _ in range(TURNS)]


def describe_dense(comparisons: Sequence[DenseComparison]) -> tuple[str, ...]:
    """Returns how many scores of which patches, the ratios of operations and time, the error."""
    first, ratios = comparisons[0], [comparison.ratio for comparison in comparisons]
    return (
        f"{first.scores} of {first.patch}×{first.patch}, {first.stride} apart",
        f"{first.patches_macs / first.dense_macs:.1f}",
        f"{median(ratios):.1f}",
        f"{min(ratios):.1f}–{max(ratios):.1f}",
        f"{max(comparison.difference for comparison in comparisons):.0e}",
    )


def tabulate_claims(shares: Shares, comparisons: Sequence[DenseComparison]) -> str:
    """Returns the Markdown table of the claims about costs."""
    rows = [format_row("claim", "who", "verdict", "measured"), format_row(*["---"] * 4)]
    for row, (text, resource) in enumerate(
        (
            ("upsampling is computationally intensive", "the time of a training step"),
            ("upsampling costs much memory", "the bytes kept for the backward pass"),
        )
    ):
        for form in CLAIMED_FORMS:
            values = [shares[name, form][row] for name in CLASSICAL]
            finding = f"{100 * min(values):.1f} to {100 * max(values):.1f} % of {resource}"
            rows.append(format_row(f"{text}, {form}", NOTES, f"*{judge_share(values)}*", finding))
    if comparisons:
        ratios = [comparison.ratio for comparison in comparisons]
        verdict: Verdict = "holds" if min(ratios) > 1 else "cannot be told"
        finding = f"{comparisons[0].scores} patches take {median(ratios):.1f} times as long"
        text = "one dense pass instead of many patches saves time"
        rows.append(format_row(text, NOTES, f"*{verdict}*", finding))
    return "\n".join(rows)


def judge_share(shares: Sequence[float]) -> Verdict:
    """Decides for the five classical operators, all of which have to agree."""
    if min(shares) > LARGE_SHARE:
        return "holds"
    return "does not hold" if max(shares) <= LARGE_SHARE else "cannot be told"
