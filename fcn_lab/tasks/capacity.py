"""task=capacity: finds the widths at which all arms of a grid cost the same."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import torch
from rich.table import Table

from fcn_lab.config.own_words import find_own_folders
from fcn_lab.cost.figure import Words
from fcn_lab.cost.macs import Cost, count_cost
from fcn_lab.cost.matching import Fit, Widths, fit_widths, pick_target, relative_gap
from fcn_lab.cost.sheet import Grid
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_json, write_text
from fcn_lab.rendering.tables import Name, create_table
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import format_number, print_next, print_text, report_progress
from fcn_lab.values import Names, Positive, Size, Width

# keys that the match itself sets: the words of an arm, the widths, and the task's own keys
MATCH_KEYS = (
    *("task", "model", "upsample", "upsample.refine", "capacity", "encoder.widths"),
    *("encoder.head_width", "models", "upsamples", "encoders", "refines"),
)


@dataclass
class Capacity:
    """Matches, model by model, the cost of all operators in all forms to the most expensive one.

    Args:
        grid: the arms: models, operators, encoders.
        refines: forms of each operator.
        encoder_widths: channels of the encoder's stages; the first one may change, which affects
            mostly the operations.
        head_width: channels of the encoder's head; it may change, which affects mostly the
            parameters.
        size: height and width of the image, in pixels.
        words: model, upsample, encoder.
        tolerance: how far apart arms may be in parameters and in operations, as a share.
    """

    grid: Grid
    refines: Names
    encoder_widths: Sequence[Width]
    head_width: Width
    size: Size
    words: Mapping[str, str]
    tolerance: Positive

    def run(self, folder: Path) -> None:
        """Prints the match, writes capacity.json, and capacity/matched.yaml where all arms agree.

        Raises:
            UserError: there are several encoders, or arms could not be matched.
        """
        encoders = self.grid.encoders or ()
        if len(encoders) > 1:
            raise UserError(
                f"encoders=[{','.join(encoders)}]: task=capacity finds the widths of one "
                "encoder at a time.\nExpected encoder=WORD"
            )
        arms = [(*cell, refine) for cell in self.grid.cells(self.words) for refine in self.refines]
        fits: dict[Words, Fit] = {}
        for _, group in groupby(sorted(arms), key=itemgetter(0)):
            fits |= self._match(list(group))
        print_text(self._build_table(fits))
        for (model, upsample, _, refine), fit in fits.items():
            choice = f"model={model} upsample={upsample} upsample.refine={refine}"
            # in one piece, to be pasted
            print(shlex.join([*choice.split(), *self._spell_widths(fit.widths)]), flush=True)
        rows = [{"arm": arm, **vars(fit), "cost": vars(fit.cost)} for arm, fit in fits.items()]
        write_json(folder / "capacity.json", rows)
        misses = [" ".join(arm) for arm, fit in fits.items() if fit.distance > self.tolerance / 2]
        if misses:
            raise UserError(
                f"not matched within {self.tolerance:.0%}: {', '.join(misses)}.\n"
                "Leave them out, or say task.tolerance="
            )
        make_folder(folder / "capacity")
        write_text(folder / "capacity" / "matched.yaml", self._format_words(fits))
        print_next(self._list_next_steps(folder, *next(iter(fits.items()))))

    def _list_next_steps(self, folder: Path, arm: Words, fit: Fit) -> dict[str, str | Path]:
        model, upsample, encoder, refine = arm
        words = [f"model={model}", f"upsample={upsample}", f"upsample.refine={refine}"]
        words += [f"encoder={encoder}"] if self.grid.encoders else []
        words += self.grid.list_others(MATCH_KEYS)
        if find_own_folders():
            # Hydra takes one --config-dir, and that is the user's
            return {"To train one": format_command(*words, *self._spell_widths(fit.widths))}
        command = format_command(f"--config-dir={folder}", "capacity=matched", *words)
        return {"To train one, or several with -m": command}

    def _match(self, arms: Sequence[Words]) -> dict[Words, Fit]:
        start: Widths = (self.encoder_widths[0], self.head_width)
        target = pick_target([self._measure_cost(arm, start) for arm in arms])
        fits = {
            arm: fit_widths(partial(self._measure_cost, arm), start, target, self.tolerance)
            for arm in report_progress(arms, len(arms), f"{arms[0][0]}: matching")
        }
        gap = relative_gap([fit.cost for fit in fits.values()])
        print_text(f"{arms[0][0]}: the largest arm over the smallest, less 1: {gap:.2%}")
        return fits

    def _measure_cost(self, arm: Words, widths: Widths) -> Cost:
        with torch.device("meta"):
            net = self.grid.build(arm[:3], f"upsample.refine={arm[3]}", *self._spell_widths(widths))
        return count_cost(net, *self.size)

    def _spell_widths(self, widths: Widths) -> list[str]:
        first = ",".join(map(str, [widths[0], *self.encoder_widths[1:]]))
        return [f"encoder.widths=[{first}]", f"encoder.head_width={widths[1]}"]

    def _build_table(self, fits: Mapping[Words, Fit]) -> Table:
        table = create_table(("arm", "params", "MACs", "from the target", "matched"))
        for (*cell, refine), fit in fits.items():
            table.add_row(
                Name(f"{' '.join(cell)} {refine}"),
                format_number(fit.cost.params),
                format_number(fit.cost.macs),
                f"{fit.distance:.2%}",
                "yes" if fit.distance <= self.tolerance / 2 else "NO",
            )
        return table

    def _format_words(self, fits: Mapping[Words, Fit]) -> str:
        """Returns a YAML file of the group ``capacity``: the table, and the two widths it gives."""
        models: dict[str, dict[str, dict[str, list[int]]]] = {}
        for (model, upsample, _, refine), fit in fits.items():
            models.setdefault(model, {}).setdefault(upsample, {})[refine] = list(fit.widths)
        node = "${matched.${choices.model}.${choices.upsample}.${upsample.refine}"
        rest = ", ".join(map(str, self.encoder_widths[1:]))
        return f"""# @package _global_
# at these widths arms agree within {self.tolerance:.0%} in parameters and operations: task=capacity
matched:
{chr(10).join(f"  {model}: {json.dumps(table)}" for model, table in models.items())}
encoder:
  widths: ["{node}.0}}", {rest}]
  head_width: "{node}.1}}"
"""
