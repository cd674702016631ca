"""What can be wrong with what is declared for vibration."""

from __future__ import annotations

from core.errors import Invalid


class UnitUndeclared(Invalid):
    """No unit is declared for this vibration value, so no zone can be told. Declare mm/s, in/s, mm, µm or mil."""

    code = "vibration_unit_undeclared"


class OutsideStandard(Invalid):
    """ISO 20816-3 does not judge such a machine: it is for more than 15 kW at 120 to 30 000 revolutions a minute."""

    code = "outside_standard"


class BadBearing(Invalid):
    """No bearing has this geometry. Give 3 balls or more, ball and pitch diameter in mm, a contact angle below 90°."""

    code = "bad_bearing"
