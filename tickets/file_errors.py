"""What an attachment is refused for, each with a sentence to act on."""

from __future__ import annotations

from core.errors import Conflict, Invalid, MillwrightError


class FileTypeRefused(MillwrightError):
    """Files of this type are not taken. Send a picture (JPEG, PNG, GIF, WebP), sound, video, PDF or plain text."""

    code = "file_type_refused"
    status = 415


class FileTooLarge(MillwrightError):
    """The file is larger than files of its type may be."""

    code = "file_too_large"
    status = 413


class TwoFilesInOne(Invalid):
    """The file is two things at once, which is how harmful files hide. Take the picture anew, or save it again."""

    code = "two_files_in_one"


class TooManyPixels(Invalid):
    """The picture has more pixels than are decoded here. Send it smaller."""

    code = "too_many_pixels"


class FileDamaged(Invalid):
    """The file is cut off or damaged. Send it again from where it was made."""

    code = "file_damaged"


class TooManyFiles(Conflict):
    """The ticket has as many files as a ticket may have. Open another one for the rest, and link them."""

    code = "too_many_files"


class FileEmpty(Invalid):
    """The body holds no file. Send its bytes as they are, as the body of the request."""

    code = "file_empty"
