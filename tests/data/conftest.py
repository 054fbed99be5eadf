import pytest


@pytest.fixture(autouse=True)
def stay_elsewhere(elsewhere: None) -> None:
    """Every test here works in an empty folder."""
