"""What is claimed about skips and upsampling, and what the published studies say to it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from judging import (
    GOALS,
    GRADIENT,
    SMALL_CLASSES,
    Claim,
    find_difference,
    has_boundaries,
    judge,
    judge_order,
)

from fcn_lab.report.comparison import Arm
from fcn_lab.report.study import Study

LONG_2015 = "Long, Shelhamer, Darrell 2015"
NOTES = "founding notes"
EDGES = {"boundary F1": "draws edges", "IoU of small classes": "finds small things"}
NO_SKIPS = "fcn8s skips=False"
SKIPS = ("fcn32s", "fcn16s", "fcn8s", "fcn4s", "fcn2s")
# held out, each in turn: a study of its own
DRIVES = ("0016E5", "0006R0")
GOAL_NAMES = dict(zip(GOALS, ("a score", "nine tenths of it"), strict=True))


def _claim_operators() -> Iterator[Claim]:
    for refine in ("conv", "none"):
        arms = tuple(f"{name} refine={refine}" for name in ("transposed", "bilinear", "max_unpool"))
        form = "refined" if refine == "conv" else "raw"
        transposed, bilinear, unpooling = arms
        yield Claim(
            f"learned (transposed) steps adapt better than fixed (bilinear), {form}",
            *(NOTES, "operators", (transposed, bilinear)),
        )
        yield Claim(
            f"fixed or learned makes no significant difference, {form}",
            *("FCN reference release", "operators", (transposed, bilinear), "the same"),
        )
        yield Claim(
            f"learned (transposed) steps draw edges better than fixed (bilinear), {form}",
            *(NOTES, "operators", (transposed, bilinear)),
            measure="boundary F1",
        )
        for measure, task in EDGES.items() if refine == "conv" else ():
            yield Claim(
                f"unpooling {task} better than bilinear, {form}",
                *("Badrinarayanan, Kendall, Cipolla 2017", "operators", (unpooling, bilinear)),
                measure=measure,
            )
        for value in (4.4, -2.1, -0.3) if refine == "conv" else ():
            arms = (unpooling, bilinear) if value > 0 else (bilinear, unpooling)
            comparative = "more" if value > 0 else "less"
            yield Claim(
                f"unpooling scores {comparative} than bilinear, {form}",
                *("published CamVid studies", "operators", arms),
                published_effect=abs(value),
            )


def _claim_more_operators() -> Iterator[Claim]:
    for arm, claim, who, effect in (
        ("carafe", "kernels predicted from the content (CARAFE)", "Wang et al. 2019", 1.8),
        ("dysample", "places predicted from the content (DySample)", "Liu et al. 2023", None),
        ("pixel_shuffle", "channels dealt out to pixels (pixel shuffle)", "this study", None),
        ("bicubic", "bicubic steps", "this study", None),
    ):
        for measure, verb in (("mean IoU", "score more"), ("boundary F1", "draw edges better")):
            yield Claim(
                f"{claim} {verb} than bilinear ones, refined",
                *(who, "operators_more", (arm, "bilinear")),
                measure=measure,
                published_effect=effect if measure == "mean IoU" else None,
            )


def _claim_edges() -> Iterator[Claim]:
    for coarser, finer in pairwise((32, 16, 8, 4, 2)):
        yield Claim(
            f"the skip from FCN-{coarser}s to FCN-{finer}s restores edges",
            *("this study", "skips", (f"fcn{finer}s", f"fcn{coarser}s")),
            measure="boundary F1",
        )


def _claim_grid() -> Iterator[Claim]:
    for operator, name in (
        ("transposed", "transposed steps"),
        ("nearest", "nearest steps"),
        ("max_unpool", "unpooling steps"),
        ("bed_of_nails", "bed-of-nails steps"),
    ):
        for measure, place in (("mean IoU", ""), ("boundary F1", " at edges")):
            yield Claim(
                f"what {name} add to bilinear ones{place} depends on the skips: FCN-32s, FCN-8s",
                *("this study", "grid", (operator, "bilinear"), "different", measure),
                contexts=("fcn32s", "fcn8s"),
            )
    for stride in (32, 16, 8):
        yield Claim(
            f"unpooling steps draw edges better than bilinear ones in FCN-{stride}s",
            *("this study", "grid", (f"fcn{stride}s max_unpool", f"fcn{stride}s bilinear")),
            measure="boundary F1",
        )


def _claim_gradients() -> Iterator[Claim]:
    for word, name in (("fcn8s", "FCN-8s"), ("unet", "U-Net")):
        arms = (f"{word} skips=True", f"{word} skips=False")
        yield Claim(
            f"skips are another way for the gradient, {name}",
            *(NOTES, "gradient_flow", arms),
            measure=GRADIENT,
        )
        for goal, goal_name in GOAL_NAMES.items():
            yield Claim(
                f"skips help convergence of {name}, looked at more finely: {goal_name} is reached "
                "sooner",
                *(NOTES, "gradient_flow", arms),
                measure=goal,
            )


def _claim_drives() -> Iterator[Claim]:
    for drive in DRIVES:
        study, place = f"drives/{drive}", f"on drive {drive}, held out"
        for coarser, finer in (*pairwise((32, 16, 8, 4, 2)), (32, 8)):
            arms = (f"fcn{finer}s bilinear", f"fcn{coarser}s bilinear")
            yield Claim(
                f"FCN-{finer}s scores more than FCN-{coarser}s {place}",
                *("this study", study, arms),
            )
        yield Claim(
            *(f"both skips restore edges {place}", "this study", study, arms),
            measure="boundary F1",
        )
        for first, second in (("transposed", "bilinear"), ("bilinear", "max_unpool")):
            yield Claim(
                f"{first} steps score more than {second} ones {place}",
                *("this study", study, (f"fcn8s {first}", f"fcn8s {second}")),
            )


CLAIMS = (
    Claim("FCN-16s scores more than FCN-32s", LONG_2015, "skips", ("fcn16s", "fcn32s")),
    Claim("FCN-8s scores more than FCN-16s", LONG_2015, "skips", ("fcn8s", "fcn16s")),
    Claim("finer still: FCN-4s over FCN-8s", "this study", "skips", ("fcn4s", "fcn8s")),
    Claim("finer still: FCN-2s over FCN-4s", "this study", "skips", ("fcn2s", "fcn4s")),
    Claim("both skips together: FCN-8s over FCN-32s", LONG_2015, "skips", ("fcn8s", "fcn32s")),
    Claim(
        *("both skips restore edges", NOTES, "skips", ("fcn8s", "fcn32s")),
        measure="boundary F1",
    ),
    *_claim_edges(),
    Claim(
        *("both skips restore small things", NOTES, "skips", ("fcn8s", "fcn32s")),
        measure="IoU of small classes",
    ),
    Claim("skips add to the same net without them", NOTES, "skips", ("fcn8s", NO_SKIPS)),
    Claim(
        *("skips restore edges", NOTES, "skips", ("fcn8s", NO_SKIPS)),
        measure="boundary F1",
    ),
    Claim(
        *("skips restore small things", NOTES, "skips", ("fcn8s", NO_SKIPS)),
        measure="IoU of small classes",
    ),
    *(
        Claim(
            f"skips help convergence: {goal_name} is reached sooner",
            *(NOTES, "skips", ("fcn8s", NO_SKIPS)),
            measure=goal,
        )
        for goal, goal_name in GOAL_NAMES.items()
    ),
    *_claim_operators(),
    *_claim_more_operators(),
    *_claim_grid(),
    *(
        Claim(
            f"augmentation adds about two points{place}",
            *(NOTES, "augmentation", ("strong", base)),
            measure="pixel accuracy",
            published_effect=2.0,
        )
        for base, place in (("unzoomed", ""), ("none", " to crops that are zoomed already"))
    ),
    Claim("pre-trained layers help", NOTES, "pretraining", ("finetuned", "scratch")),
    Claim(
        "training the upsampling alone suffices",
        *(NOTES, "pretraining", ("frozen", "finetuned"), "the same"),
    ),
    Claim(
        "stages beat all at once",
        *("Shelhamer, Long, Darrell 2017", "staged", ("staged", "train")),
        published_effect=0.1,
    ),
    Claim(
        "the paper's heavy learning beats AdamW, each at the best of the rates tried",
        *("this study", "momentum", ("heavy", "adamw")),
    ),
    *_claim_gradients(),
    *_claim_drives(),
)
# the studies whose arms val is asked to order
ORDERED_STUDIES = ("skips", "operators", "grid")


def describe_details(study: Study) -> str:
    """Returns a sentence on the best arm against the last, at edges and in small classes.

    Empty of one arm, and of runs without these classes or without counts along boundaries.
    """
    is_measured = {*SMALL_CLASSES} <= {*study.first_run.classes} and has_boundaries(study)
    if len(study.arms) < 2 or not is_measured:
        return ""
    arms = (study.arms[0].name, study.arms[-1].name)
    parts = []
    for measure, name in (
        ("boundary F1", "boundary F1"),
        ("IoU of small classes", "the mean IoU of pole, sign, fence, pedestrian and bicyclist"),
    ):
        finding = find_difference(Claim("", "", "", arms, measure=measure), study)
        assert finding is not None
        note = ", which is no distinguishable difference" * (finding.low <= 0 <= finding.high)
        parts.append(f"in {name} {finding.value:+.1f} points {finding.interval}{note}")
    return f"The first less the last, {arms[0]} less {arms[1]}: {'; '.join(parts)}."


def tabulate_claims(studies: dict[str, Study]) -> str:
    """Returns the Markdown table of all claims.

    Args:
        studies: the published ones by the name of their folder.
    """
    head = ("claim", "who", "verdict", "effect, points", "interval", "seeds", "study")
    rows = [head, ("---",) * 3 + ("---:",) * 3 + ("---",)]
    rows += [_format_claim(claim, studies.get(claim.study)) for claim in CLAIMS]
    rows += [_format_order(name, studies.get(name)) for name in ORDERED_STUDIES]
    rows += [_format_drive(drive, studies) for drive in DRIVES]
    return "\n".join(format_row(*row) for row in rows)


def format_row(*cells: str) -> str:
    """Returns a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _format_order(name: str, study: Study | None) -> tuple[str, ...]:
    text, source = "val tells which arm test will prefer", NOTES
    if study is None or len(study.arms) < 2:
        return text, source, "*not run yet*", "", "", "", _link(name, study)
    arms = study.comparison.pooled_arms
    verdict, tau = judge_order(*_average(arms))
    seeds = sorted({len(arm.runs) for arm in study.arms})
    effect = f"Kendall's τ {tau:+.2f} of {len(arms)} arms"
    if len(arms) < len(study.arms):
        effect += " that score at least half of the best"
    best_arms = [arm for arm in study.arms if study.comparison.ranks()[arm.name][0] == 1]
    if 2 < len(best_arms) < len(arms):
        tau = judge_order(*_average(best_arms))[1]
        effect += f"; {tau:+.2f} of the {len(best_arms)} that may be the best"
    return (
        text,
        source,
        f"*{verdict}*",
        effect,
        "",
        " and ".join(map(str, seeds)),
        _link(name, study),
    )


def _average(arms: Sequence[Arm]) -> list[list[float]]:
    """Returns the arms' mean IoU on val, and on test."""
    return [[arm.average_number(split, "mean_iou") for arm in arms] for split in ("val", "test")]


def _format_drive(drive: str, studies: Mapping[str, Study]) -> tuple[str, ...]:
    name = f"drives/{drive}"
    study, usual = studies.get(name), studies.get("skips")
    text = f"FCNs have the order of CamVid's split on drive {drive}, held out"
    if study is None or usual is None:
        return text, "this study", "*not run yet*", "", "", "", _link(name, study)
    there, here = usual.comparison.means, study.comparison.means
    scores = [(there[skips].value, here[f"{skips} bilinear"].value) for skips in SKIPS]
    verdict, tau = judge_order(*zip(*scores, strict=True))
    effect = f"Kendall's τ {tau:+.2f} of {len(SKIPS)} arms"
    seeds = " and ".join(map(str, sorted({len(arm.runs) for arm in study.arms})))
    return text, "this study", f"*{verdict}*", effect, "", seeds, _link(name, study)


def _link(name: str, study: Study | None) -> str:
    return f"`{name}`" if study is None else f"[{name}]({name}/README.md)"


def _format_claim(claim: Claim, study: Study | None) -> tuple[str, ...]:
    finding = find_difference(claim, study)
    verdict = f"*{judge(claim, finding)}*"
    link = _link(claim.study, study)
    if finding is None:
        return claim.text, claim.source, verdict, "", "", "", link
    if claim.published_effect is not None:
        is_inside = finding.low <= claim.published_effect <= finding.high
        verdict += f"; {claim.published_effect:+.1f} is {'in' if is_inside else 'out'}side"
    effect = f"{finding.value:+.1f} {claim.measure}"
    seeds = " and ".join(map(str, dict.fromkeys(finding.seeds)))
    return claim.text, claim.source, verdict, effect, finding.interval, seeds, link
