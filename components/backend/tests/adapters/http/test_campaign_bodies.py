"""What is said of a campaign's wrong values."""

import pytest
from pydantic import ValidationError

from gonets.adapters.http.campaign_bodies import WindowBody


@pytest.mark.parametrize("clock", ["24:00", "9", "09:60", "09:00:00", "٠٩:٠٠", ""])
def test_a_wrong_time_of_day_is_told_what_would_be_right(clock):
    with pytest.raises(ValidationError, match=r"a time of day such as 09:00; midnight is 00:00"):
        WindowBody.model_validate({"from": "09:00", "to": clock})


@pytest.mark.parametrize("clock", ["00:00", "09:00", "23:59"])
def test_a_time_of_day(clock):
    assert WindowBody.model_validate({"from": clock, "to": "12:00"}).opens == clock
