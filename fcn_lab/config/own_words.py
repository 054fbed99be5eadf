"""The folders that words are read from: conf/, and behind it the user's own (``--config-dir``).

They stand in the environment, so that every worker of a command knows them: a cell of a sweep runs
frozen sources, which have no conf/ beside them.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from fcn_lab.config.frozen import find_conf_folder
from fcn_lab.config.trust import allow, list_targets
from fcn_lab.files import follow_links

WORDS_VARIABLE = "FCN_LAB_WORDS"


def keep_own_folders(folders: Iterable[Path]) -> None:
    """Lets this process, and those it starts, read words there and build what the words name."""
    conf = find_conf_folder()
    own_folders = [folder for folder in map(follow_links, folders) if folder != conf]
    os.environ[WORDS_VARIABLE] = json.dumps([str(folder) for folder in (conf, *own_folders)])
    allow(name for folder in own_folders for name in list_targets(folder))


def find_word_folders() -> list[Path]:
    """Returns conf/ and the user's own folders, in the order in which Hydra looks into them."""
    text = os.environ.get(WORDS_VARIABLE)
    return [Path(folder) for folder in json.loads(text)] if text else [find_conf_folder()]


def find_own_folders() -> list[Path]:
    """Returns the folders of the user's own words."""
    return find_word_folders()[1:]
