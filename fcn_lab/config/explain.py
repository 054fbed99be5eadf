"""Puts Hydra's and OmegaConf's errors into the user's words: which word, and what was expected."""

import re

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    KeyValidationError,
    OmegaConfBaseException,
)

from fcn_lab.config.frozen import list_words
from fcn_lab.config.own_words import find_word_folders
from fcn_lab.errors import UserError, suggest
from fcn_lab.runs.keys import list_leaves
from fcn_lab.text.commands import format_command


def explain(error: BaseException) -> str:
    """Returns the error in one or two lines."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, word = error.missing_cfg_file.rpartition("/")
        # of a word in a list Hydra gives none
        options = error.options or sorted(list_words(find_word_folders()).get(group, ()))
        if not options:
            return f"{group}={word}: there is no such word" if group else _first_lines(str(error))
        first_line = f"{group}={word}: there is no such word.{suggest(word, options)}"
        return f"{first_line}\n{group}= takes {', '.join(options)}"
    if isinstance(error, OverrideParseException):
        reason = _first_lines(str(error.message), 1)
        hint = "an override reads key=value; quote what has spaces, commas or letters beyond ASCII"
        return f"{error.override}: cannot be read ({reason})\n{hint}"
    if str(error).startswith("Ambiguous value for argument"):
        argument = str(error).split("'")[1]
        return f"{argument}: several values make a sweep, which starts with -m"
    if (mistake := _find_resolver_error(error)) is not None:
        return str(mistake)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}: {error.problem}\nexpected YAML: key: value"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if "Cannot merge DictConfig with ListConfig" in f"{error}{cause}":
        key = getattr(cause, "full_key", None) or str(error).partition(":")[0]
        return f"{key}: a list and a mapping cannot be merged; expected the kind that is there"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _explain_unknown_key(cause)
    if match := re.search(r"'matched\.(\w+)\.(\w+)\.(\w+)\.\d'", str(cause)):
        model, upsample, refine = match.groups()
        upsamples = ",".join(dict.fromkeys(("bilinear", upsample)))
        lists = (f"models=[{model}]", f"upsamples=[{upsamples}]", f"refines=[{refine}]")
        return (
            f"capacity=matched has no widths for model={model} upsample={upsample} "
            f"upsample.refine={refine}. To find them:\n{format_command('task=capacity', *lists)}"
        )
    if isinstance(cause, InterpolationKeyError):
        return _explain_missing_source(cause)
    if isinstance(cause, KeyValidationError):
        return f"{cause.full_key}: a key is no text; to YAML ~ and null are nothing.\nWrite 'null'"
    if isinstance(cause, OmegaConfBaseException):
        return _first_lines(str(cause))
    return _first_lines(str(error))


def _find_resolver_error(error: BaseException) -> UserError | None:
    """Returns the UserError that a resolver raised, which OmegaConf's own error hides."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, UserError):
        inner = inner.__cause__ or inner.__context__
    return inner


def _explain_missing_source(error: InterpolationKeyError) -> str:
    match = re.search(r"Interpolation key '(.+?)' not found", str(error))
    if match is None:
        return _first_lines(str(error))
    source = match[1]
    if source.startswith("choices."):
        group = source.removeprefix("choices.")
        return f"{group}: it has no word; expected one, as in {group}=WORD"
    return f"{error.full_key}: its value is that of {source}, which is not there.\nGive {source}="


def _explain_unknown_key(error: OmegaConfBaseException) -> str:
    key = str(error.full_key or error.key)
    parent = error.parent_node
    if not isinstance(parent, DictConfig):
        return _first_lines(str(error))
    root = parent._get_root()
    assert isinstance(root, DictConfig)
    section = "" if parent is root else str(parent._get_full_key(None))
    siblings = [
        f"{section}.{name}" if section else name
        for name in map(str, parent)
        if name not in ("_target_", "hydra", "choices")
    ]
    content = OmegaConf.to_container(root, resolve=False)
    keys = [leaf for leaf, _ in list_leaves(content, copies={"hydra", "task"})]
    hint = suggest(key, siblings) or suggest(key, keys)
    names = ", ".join(sorted(name.rpartition(".")[2] for name in siblings))
    return f"{key}: there is no such key.{hint}\n{section or 'the top level'} has {names}"


def _first_lines(text: str, count: int = 2) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:count])
