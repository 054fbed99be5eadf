"""task=capacity: the widths at which all arms of a grid cost the same, as far as there are any."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from rich.table import Table

from fcn_lab.commands import format_command
from fcn_lab.config.own_words import find_own_folders
from fcn_lab.cost.figure import Words
from fcn_lab.cost.macs import Cost, count_cost
from fcn_lab.cost.matching import Fit, Widths, fit_widths, pick_target, relative_gap
from fcn_lab.cost.sheet import Grid
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_json, write_text
from fcn_lab.rendering.tables import Name, create_table
from fcn_lab.terminal import format_number, print_next, print_text, report_progress
from fcn_lab.values import Names, Positive, Size, Width

# what the match decides on: the words of an arm, the widths, and the task's own keys
MATCH_KEYS = (
    *("task", "model", "upsample", "upsample.refine", "capacity", "encoder.widths"),
    *("encoder.head_width", "models", "upsamples", "encoders", "refines"),
)


@dataclass
class Capacity:
    """Matches, model by model, all operators in all forms to the most expensive of them.

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
            UserError: arms could not be matched.
        """
        arms = [(*cell, refine) for cell in self.grid.cells(self.words) for refine in self.refines]
        found: dict[Words, Fit] = {}
        for _, same in groupby(sorted(arms), key=lambda arm: (arm[0], arm[2])):
            found |= self._match(list(same))
        print_text(self._build_table(found))
        for (model, upsample, _, refine), one in found.items():
            choice = f"model={model} upsample={upsample} upsample.refine={refine}"
            print_text(shlex.join([*choice.split(), *self._spell_widths(one.widths)]))
        fits = [{"arm": arm, **vars(one), "cost": vars(one.cost)} for arm, one in found.items()]
        write_json(folder / "capacity.json", fits)
        failed = [" ".join(arm) for arm, one in found.items() if one.distance > self.tolerance / 2]
        if failed:
            raise UserError(
                f"not matched within {self.tolerance:.0%}: {', '.join(failed)}.\n"
                "Leave them out, or say task.tolerance="
            )
        make_folder(folder / "capacity")
        write_text(folder / "capacity" / "matched.yaml", self._format_words(found))
        print_next(self._list_next_steps(folder, *next(iter(found.items()))))

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
        found = {
            arm: fit_widths(partial(self._measure_cost, arm), start, target, self.tolerance)
            for arm in report_progress(arms, len(arms), f"{arms[0][0]}: matching")
        }
        apart = relative_gap([one.cost for one in found.values()])
        print_text(f"{arms[0][0]}: the largest arm over the smallest, less 1: {apart:.2%}")
        return found

    def _measure_cost(self, arm: Words, widths: Widths) -> Cost:
        with torch.device("meta"):
            net = self.grid.build(arm[:3], f"upsample.refine={arm[3]}", *self._spell_widths(widths))
        return count_cost(net, *self.size)

    def _spell_widths(self, widths: Widths) -> list[str]:
        first = ",".join(map(str, [widths[0], *self.encoder_widths[1:]]))
        return [f"encoder.widths=[{first}]", f"encoder.head_width={widths[1]}"]

    def _build_table(self, found: Mapping[Words, Fit]) -> Table:
        shown = create_table(("arm", "params", "MACs", "from the target", "matched"))
        for (*cell, refine), one in found.items():
            shown.add_row(
                Name(f"{' '.join(cell)} {refine}"),
                format_number(one.cost.params),
                format_number(one.cost.macs),
                f"{one.distance:.2%}",
                "yes" if one.distance <= self.tolerance / 2 else "NO",
            )
        return shown

    def _format_words(self, found: Mapping[Words, Fit]) -> str:
        """Returns a YAML file of the group ``capacity``: the table, and the two widths it gives."""
        models: dict[str, dict[str, dict[str, list[int]]]] = {}
        for (model, upsample, _, refine), one in found.items():
            models.setdefault(model, {}).setdefault(upsample, {})[refine] = list(one.widths)
        place = "${matched.${choices.model}.${choices.upsample}.${upsample.refine}"
        rest = ", ".join(map(str, self.encoder_widths[1:]))
        return f"""# @package _global_
# at these widths arms agree within {self.tolerance:.0%} in parameters and operations: task=capacity
matched:
{chr(10).join(f"  {model}: {json.dumps(table)}" for model, table in models.items())}
encoder:
  widths: ["{place}.0}}", {rest}]
  head_width: "{place}.1}}"
"""
