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


class WrongCode(MillwrightError):
    """This code does not fit, was used already, or is too old. Take the next one that the app shows."""

    code = "wrong_code"
    status = 401


class CodesNotOn(Conflict):
    """Codes from an app are not on for this account. Turn them on first."""

    code = "codes_not_on"


class StepEnded(MillwrightError):
    """The second step took too long or was tried too often. Sign in again from the beginning."""

    code = "step_ended"
    status = 401


class InviteUsed(MillwrightError):
    """This link does not work: it sets a password once, within a day. Ask an administrator for a new one."""

    code = "invite_used"
    status = 401


class SessionNeeded(Forbidden):
    """This is done by a person who is signed in, never with a token."""

    code = "session_needed"


class ConfirmNeeded(Forbidden):
    """This needs proof that it is still you. Confirm with your password or a code, or sign in again, then repeat it."""

    code = "confirm_needed"


class SecondNeeded(Forbidden):
    """Your role on this site needs a second factor: set one up on the page Sign-in and security, then sign in by it."""

    code = "second_needed"


class PasskeyRefused(MillwrightError):
    """This passkey does not fit, or the question it answers is too old or was answered before. Try again."""

    code = "passkey_refused"
    status = 401


class NoPasskeysHere(Conflict):
    """Passkeys need the console opened by a name (localhost, or one with a certificate), not by an IP address."""

    code = "no_passkeys_here"


class ProviderRefused(MillwrightError):
    """The sign-in provider said no, answered badly, or its answer fits no sign-in that was begun here. Try again."""

    code = "provider_refused"
    status = 401


class ProviderAway(MillwrightError):
    """The sign-in provider does not answer in time. Try again soon, or sign in with your password."""

    code = "provider_away"
    status = 503


class NotLetIn(Forbidden):
    """The sign-in provider knows you, but none of the sites' rules lets you in. Ask an administrator."""

    code = "not_let_in"
