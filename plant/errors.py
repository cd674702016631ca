"""What can be wrong with assets and signals."""

from __future__ import annotations

from core.errors import Conflict, Invalid, NotFound


class AssetNotFound(NotFound):
    """There is no such asset on this site."""

    code = "asset_not_found"


class SignalNotFound(NotFound):
    """There is no such signal on this site."""

    code = "signal_not_found"


class WaveformNotFound(NotFound):
    """There is no such waveform on this site, or retention has taken it."""

    code = "waveform_not_found"


class CodeTaken(Conflict):
    """This code is in use. Choose another, or change the one that has it."""

    code = "code_taken"


class QuantityFixed(Invalid):
    """The quantity of a signal that exists cannot change: its samples would change their meaning. Make a new signal."""

    code = "quantity_fixed"


class BadRange(Invalid):
    """The lower limit of a signal must lie below the upper one."""

    code = "bad_range"


class BadWindow(Invalid):
    """A production window ends after it begins, costs 0 or more an hour, and overlaps no other of its machine."""

    code = "bad_window"


class FileUnreadable(Invalid):
    """The file is no table that can be read. Save it as CSV (UTF-8) or XLSX, one sheet, without a password."""

    code = "file_unreadable"


class BadImport(Invalid):
    """Some rows do not fit. Nothing was changed; each problem names its row and column and what to do."""

    code = "bad_import"


class BadTree(Invalid):
    """An asset lies below one of a higher level, and never below itself."""

    code = "bad_tree"


class BadCriticality(Invalid):
    """Criticality, consequence and likelihood are 1 to 5; a criticality that is not the proposed one needs a reason."""

    code = "bad_criticality"


class VibrationUndeclared(NotFound):
    """Nothing is declared of this machine's vibration. Declare its speed, and its bearings, power and foundation."""

    code = "vibration_undeclared"


class WrongSpeedSignal(Invalid):
    """A speed comes from a signal of quantity rotational_speed. Choose one, or give the speed as a number."""

    code = "wrong_speed_signal"
