"""task=predict: labels pictures and videos with the best weights of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from torch import nn

from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.errors import UserError
from fcn_lab.files import follow_links
from fcn_lab.inference.media import MediaError
from fcn_lab.inference.predictor import find_picture_files, load_predictor
from fcn_lab.inference.sliding_windows import SlidingWindows
from fcn_lab.tasks.inputs import InputFiles, find_inputs
from fcn_lab.tasks.labelling import Labeller
from fcn_lab.tasks.naming import list_result_files, name_results
from fcn_lab.tasks.results import Results, show_path
from fcn_lab.text.terminal import ProgressReport, format_count, print_next, print_text
from fcn_lab.values import Names, Positive


class Predict:
    """Writes, for every picture, an index PNG and the picture under the colours of its classes.

    A video NAME becomes a folder NAME of index PNGs, a frame each, and NAME_overlay.mp4.

    Args:
        run: the folder of the training run.
        net: its network.
        input: files, folders or patterns such as "drive/*.jpg"; where a picture is several files,
            folders that hold these at the places that ``data.images`` names.
        output: the folder to write to.
        flip: average over picture and mirrored picture.
        scores: also write each class's probability, float16 (K,H,W), as .npz beside the PNG.
        dense: wraps the network, so that it scores in windows, at several scales, …
        overwrite: whether to replace files under the results' names, also earlier results.
        megapixels: the most pixels of a picture that is read, in millions.
    """

    def __init__(
        self,
        run: str | Path,
        net: nn.Module,
        input: str | Names,
        output: str,
        flip: bool = False,
        scores: bool = False,
        dense: Callable[[nn.Module], nn.Module] | None = None,
        overwrite: bool = False,
        megapixels: Positive = LIMIT.megapixels,
    ) -> None:
        self.source, self.net, self.dense = Path(run), net, dense
        self.input, self.output, self.flip, self.scores = input, Path(output), flip, scores
        self.overwrite, self.limit = overwrite, Limit(megapixels, "task.megapixels")

    def run(self, folder: Path) -> None:
        """Labels every file; those that could not be read are named at the end.

        Raises:
            UserError: there is no file, a result's name is taken, some files could not be read, or
                `dense` does not fit the run's network.
        """
        patterns = [file.pattern for file in find_picture_files(self.source)]
        inputs = find_inputs(self.input, self.output, patterns)
        names = name_results(inputs.files)
        results = self._claim_results(inputs, names)
        predictor = load_predictor(self.net, self.source, self.flip, self.dense)
        if isinstance(predictor.net, SlidingWindows):
            print_text(predictor.net.describe())
        if inputs.skip_count:
            print_text(
                f"{format_count(inputs.skip_count, 'file')} in {show_path(self.output)} itself "
                f"{'is' if inputs.skip_count == 1 else 'are'} not labelled"
            )
        results.make_folder()
        failures = []
        with ProgressReport(len(names), "labelling") as progress:
            labeller = Labeller(predictor, results, self.scores, progress.bar, self.limit)
            for source, name in zip(inputs.files, names, strict=True):
                try:
                    labeller.label(source, name)
                except MediaError as error:
                    print_text(f"{show_path(source.path)}: {error}", progress.bar.console)
                    failures.append(source.path)
                progress.advance()
        summary = f"{len(names) - len(failures)} of {format_count(len(names), 'file')} labelled"
        count = format_count(results.file_count, "file")
        print_text(f"{summary}: {count} written, in {show_path(self.output)}")
        if results.file_count:
            print_next({"The results": self.output})
        if failures:
            paths = ", ".join(map(show_path, failures))
            raise UserError(
                f"{len(failures)} of {format_count(len(names), 'file')} could not be read: {paths}"
            )

    def _claim_results(self, inputs: InputFiles, names: Sequence[PurePath]) -> Results:
        if follow_links(inputs.root) == follow_links(self.output):
            raise UserError(
                f"output={show_path(self.output)} holds what is to be labelled: results would "
                "overwrite it or be taken for pictures.\nType output= with another folder"
            )
        results = Results(self.output, self.overwrite, [source.path for source in inputs.files])
        files: list[PurePath] = []
        folders: list[PurePath] = []
        for source, name in zip(inputs.files, names, strict=True):
            first, *others = list_result_files(name, source.is_video, self.scores)
            (folders if source.is_video else files).append(first)
            files += others
        results.claim(files, folders)
        return results
