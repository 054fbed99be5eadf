import numpy as np
import pytest

from fcn_lab.data.classes import CAMVID11, CAMVID32, GROUPS, choose_classes
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID

NAMES, COLOURS = list(CAMVID32), list(CAMVID32.values())


def test_every_camvid_class_but_void_belongs_to_exactly_one_of_the_eleven_groups() -> None:
    members = [member for group in GROUPS.values() for member in group if member in CAMVID32]
    assert sorted([*members, "Void"]) == sorted(CAMVID32)
    assert tuple(GROUPS) == tuple(CAMVID11)


def test_no_two_classes_share_a_colour() -> None:
    assert len(set(COLOURS)) == 32
    assert len({*CAMVID11.values(), (0, 0, 0)}) == 12


def test_eleven_classes_send_every_member_to_its_group_and_void_to_void() -> None:
    chosen = choose_classes(11, NAMES, COLOURS, "camvid")
    for number, name in enumerate(NAMES):
        wanted = [place for place, group in enumerate(GROUPS.values()) if name in group]
        assert [int(chosen.table[number])] == (wanted or [VOID])
    assert set(chosen.table[32:]) == {VOID}


def test_thirty_two_classes_keep_their_numbers_but_no_pixel_is_ever_labelled_void() -> None:
    chosen = choose_classes(32, NAMES, COLOURS, "camvid")
    void = NAMES.index("Void")
    assert chosen.names == tuple(NAMES)
    assert chosen.title == "camvid32"
    assert chosen.table[void] == VOID
    others = [number for number in range(32) if number != void]
    assert np.array_equal(chosen.table[others], others)


def test_thirty_one_classes_leave_void_out_and_close_the_gap() -> None:
    chosen = choose_classes(31, NAMES, COLOURS, "camvid")
    assert "Void" not in chosen.names
    for number, name in enumerate(NAMES):
        if name != "Void":
            assert chosen.names[chosen.table[number]] == name


@pytest.mark.parametrize("classes", [1, 12, 33])
def test_a_number_of_classes_that_the_labels_do_not_hold_is_refused_with_the_options(
    classes: int,
) -> None:
    with pytest.raises(UserError, match=rf"data\.classes={classes}.*\n.*11 or 32"):
        choose_classes(classes, NAMES, COLOURS, "camvid")


def test_eleven_class_labels_refuse_thirty_two_and_name_the_releases_that_have_them() -> None:
    with pytest.raises(UserError, match=r"hold 11 classes.*\n.*Kaggle, fast\.ai or Cambridge"):
        choose_classes(32, list(CAMVID11), list(CAMVID11.values()), "camvid")


def test_a_data_set_of_ones_own_keeps_its_classes_and_carries_its_folders_name() -> None:
    chosen = choose_classes(2, ["Void", "cat", "dog"], [(0, 0, 0), (1, 1, 1), (2, 2, 2)], "pets")
    assert (chosen.title, chosen.names, chosen.palette[0]) == ("pets2", ("cat", "dog"), (1, 1, 1))
    assert chosen.table[:3].tolist() == [VOID, 0, 1]
    with pytest.raises(UserError, match=r"data\.classes=11.*\n.*2 or 3"):
        choose_classes(11, ["Void", "cat", "dog"], [(0, 0, 0), (1, 1, 1), (2, 2, 2)], "pets")
