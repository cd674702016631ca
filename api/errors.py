"""What the doors refuse, each with a sentence to act on."""

from __future__ import annotations

from core.errors import ConfigError, Conflict, Forbidden, Invalid, MillwrightError


class NotSignedIn(MillwrightError):
    """Sign in first, or send a valid token: `Authorization: Bearer mwt_…`."""

    code = "not_signed_in"
    status = 401


class WrongLogin(MillwrightError):
    """Login and password do not match, or the account is locked for a while after too many tries."""

    code = "wrong_login"
    status = 401


class LinkUsed(MillwrightError):
    """This sign-in link does not work: it works once, for 15 minutes. Make a new one with `millwright link`."""

    code = "link_used"
    status = 401


class NotLoopback(Forbidden):
    """This works only from the machine that Millwright runs on."""

    code = "not_loopback"


class CrossSite(Forbidden):
    """A change with a session cookie needs the header `X-Requested-With: millwright`."""

    code = "cross_site"


class TooMany(MillwrightError):
    """Too many tries. Wait as long as Retry-After says."""

    code = "too_many"
    status = 429


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request. Use a new key for a new request."""

    code = "idempotency_key_reused"


class WeakPassword(Invalid):
    """A password needs at least 12 characters, and must hold neither the login nor a single repeated character."""

    code = "weak_password"


class LoginTaken(Conflict):
    """There is already somebody with this login. Choose another."""

    code = "login_taken"


class DeviceExists(Conflict):
    """There is already a device with this name. Revoke it first, or choose another name."""

    code = "device_exists"


class UnknownHost(MillwrightError):
    """The Host header names no address of this server. Add it to the hosts that the server is known by."""

    code = "unknown_host"
    status = 400


class PolicyMissing(ConfigError):
    """A route has no Policy, so the app does not start."""

    code = "policy_missing"
