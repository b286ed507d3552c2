import pytest

from flows.commands.data import newest
from infra.settings import Settings


def test_proposing_before_a_first_version_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"^digits: no version yet; `gyre run digits` makes one$"):
        newest(Settings(home=tmp_path), "digits")
