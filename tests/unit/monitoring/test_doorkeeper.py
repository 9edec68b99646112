"""What settings ask of the door has to be possible, which is said at the start and not at a later document."""

import pytest

from headrace.assembly.quality import Doorkeeper
from headrace.errors import InvalidConfiguration
from headrace.monitoring.near_duplicates import RecentTexts
from headrace.settings import QualitySettings


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, float("nan")])
def test_a_share_of_inputs_to_be_flagged_that_is_none_is_refused(share):
    with pytest.raises(InvalidConfiguration, match="anomalies"):
        Doorkeeper(
            QualitySettings(anomalies=share),
            (),
            recent=RecentTexts(),
            codecs={},
            put=str,
            get=str.encode,
            on_quarantine=lambda _kept, _context: None,
            on_finding=lambda _findings, _context: None,
        )
