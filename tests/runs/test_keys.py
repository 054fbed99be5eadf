"""Nested settings by their dotted keys."""

from fcn_lab.runs.keys import find_value, list_leaves

NESTED = {"optim": {"lr": 0.1, "rates": {"encoder": None}, "betas": [1, 2]}, "links": {}, 3: "a"}


def test_every_value_is_found_by_the_key_it_is_listed_under() -> None:
    leaves = dict(list_leaves(NESTED))
    assert leaves == {"optim.lr": 0.1, "optim.rates.encoder": None, "optim.betas": [1, 2], "3": "a"}
    for key in leaves.keys() - {"3"}:
        assert find_value(NESTED, key) == leaves[key]


def test_copies_are_left_out_with_all_below_them() -> None:
    assert dict(list_leaves(NESTED["optim"], "optim", {"optim.rates"})).keys() == {
        "optim.lr",
        "optim.betas",
    }


def test_a_key_that_is_not_there_has_the_default() -> None:
    for key in ("loss", "optim.lr.first", "optim.rates.decoder"):
        assert find_value(NESTED, key) is None
        assert find_value(NESTED, key, "?") == "?"
    assert find_value(NESTED, "optim.rates.encoder", "?") is None
