"""Failure-mode libraries: what each class can suffer from, and a site's own, checked before it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field

from api.deps import Context, Ctx, router
from api.policies import allow
from api.shapes import Input, Moment, Output, Words
from core import live
from core.errors import NotFound
from maintenance import libraries, library
from maintenance.library_file import Library
from maintenance.model import Mode, Symptom
from tickets import failure_codes
from tickets.failure_codes import Part

routes = router("assets")
READ, EDIT = [allow("mode.read")], [allow("library.edit")]
Source = Literal["shipped", "data_directory", "upload"]
ClassName = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$", examples=["pump"])]


class Lines(Output):
    en: list[str]
    zh: list[str]


class SignShown(Output):
    """A signal of a signature; ``alert`` (in ``unit``) is where people usually act."""

    quantity: str
    words: list[str]
    direction: Annotated[int, Field(ge=-1, le=1, description="+1 rises, -1 falls, 0 either")]
    weight: float
    alert: float | None
    unit: str


class ModeDetail(Output):
    """``iso_mode``, ``mechanism`` and ``cause`` are codes of ISO 14224; costs in whole units of the currency."""

    code: str
    name: Words
    iso_mode: str
    mechanism: str
    mechanism_name: Words
    cause: str
    cause_name: Words
    caused_by: list[str]
    skill: str
    lead_h: float
    cost_planned: float
    cost_failure: float
    currency: str
    signature: list[SignShown]
    effect: Words
    checks: Lines
    parts: Lines
    lockout: Lines
    article: Words
    judged: Annotated[int, Field(description="Orders of the class whose verdict named this mode.")]


class ClassShown(Output):
    asset_class: str
    name: Words
    source: Source
    version: int | None
    modes: int
    machines: int


class LibraryShown(ClassShown):
    skill: str
    modes_shown: list[ModeDetail]


class VersionShown(Output):
    version: int
    note: str
    made_by: str
    made_at: Moment
    retired_at: Moment | None


class LibraryText(Input):
    """A TOML file; docs/assets.md has its form."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    name: Annotated[str, Field(max_length=200)] = "library.toml"
    note: Annotated[str, Field(max_length=300)] = ""


class ModeChange(Output):
    code: str
    change: libraries.Change


class Previewed(Output):
    """What taking the file up would do; nothing was changed."""

    asset_class: str
    name: Words
    modes: list[ModeChange]
    machines: int


class RefusedFile(Output):
    """A file of the data directory that is left out, and why."""

    file: str
    why: str


class LibrariesShown(Output):
    items: list[ClassShown]
    refused: list[RefusedFile]


@routes.get("/libraries", dependencies=READ)
def list_libraries(ctx: Ctx) -> LibrariesShown:
    """Every described asset class, where its library comes from, and how many machines are of it."""
    own, machines = _versions(ctx), _machines(ctx)
    items = [
        ClassShown(**_head(each, own.get(name), machines.get(name, 0)))
        for name, each in sorted(libraries.described(ctx.conn).items())
    ]
    return LibrariesShown(items=items, refused=[RefusedFile(file=k, why=v) for k, v in library.refused().items()])


@routes.get("/libraries/{asset_class}", dependencies=READ)
def get_library(ctx: Ctx, asset_class: ClassName) -> LibraryShown:
    """A class with all its failure modes."""
    found = libraries.described(ctx.conn).get(asset_class)
    if found is None:
        raise NotFound(f"Nobody has described the asset class {asset_class!r}.")
    rows = ctx.conn.execute("select mode, cases from learnt_modes where asset_class = %s", (asset_class,))
    judged: dict[str, int] = dict(rows.fetchall())
    return LibraryShown(
        **_head(found, _versions(ctx).get(asset_class), _machines(ctx).get(asset_class, 0)),
        skill=found.skill,
        modes_shown=[_mode(each, judged.get(each.code, 0)) for each in libraries.modes(ctx.conn, asset_class)],
    )


@routes.get("/libraries/{asset_class}/versions", dependencies=READ)
def list_versions(ctx: Ctx, asset_class: ClassName) -> list[VersionShown]:
    """The site's own versions of a class, newest first."""
    return [VersionShown.model_validate(each) for each in libraries.uploads(ctx.conn, asset_class)]


@routes.get("/libraries/{asset_class}/versions/{version}", dependencies=READ, response_class=Response)
def get_version(ctx: Ctx, asset_class: ClassName, version: Annotated[int, Field(ge=1, le=2**31 - 1)]) -> Response:
    """The text of one of the site's versions."""
    return Response(libraries.document(ctx.conn, asset_class, version), media_type="text/plain; charset=utf-8")


@routes.post("/libraries/check", dependencies=EDIT)
def check_library(ctx: Ctx, body: LibraryText) -> Previewed:
    """Say what a file would do, or everything that is wrong in it; nothing is changed."""
    made = libraries.preview(ctx.conn, body.text, body.name)
    return Previewed(
        asset_class=made.library.asset_class,
        name=Words(**made.library.name),
        modes=[ModeChange(code=code, change=change) for code, change in made.modes.items()],
        machines=made.machines,
    )


@routes.post("/libraries", status_code=201, dependencies=EDIT)
def take_up_library(ctx: Ctx, body: LibraryText) -> VersionShown:
    """Put a library in force for its class on this site, as its next version."""
    made = libraries.take_up(ctx.conn, body.text, body.name, by=ctx.person.name, note=body.note, now=ctx.now)
    live.announce(ctx.conn, "library", made.library_id)
    return VersionShown.model_validate(made)


@routes.delete("/libraries/{asset_class}", status_code=204, dependencies=EDIT)
def retire_library(ctx: Ctx, asset_class: ClassName) -> None:
    """Go back from the site's own library to the shipped one. Its versions stay to be read."""
    if not libraries.retire(ctx.conn, asset_class, now=ctx.now):
        raise NotFound(f"No library of this site is in force for {asset_class!r}.")


def _versions(ctx: Context) -> dict[str, int]:
    return {each.asset_class: each.version for each in libraries.uploads(ctx.conn) if each.retired_at is None}


def _machines(ctx: Context) -> dict[str, int]:
    return dict(ctx.conn.execute("select class, count(*) from assets group by class").fetchall())


def _head(found: Library, version: int | None, machines: int) -> dict[str, Any]:
    shipped = library.shipped(library.FOLDER).get(found.asset_class) == found
    source: Source = "upload" if version is not None else "shipped" if shipped else "data_directory"
    return {
        "asset_class": found.asset_class,
        "name": dict(found.name),
        "source": source,
        "version": version,
        "modes": len(found.modes),
        "machines": machines,
    }


def _mode(mode: Mode, judged: int) -> ModeDetail:
    return ModeDetail(
        code=mode.code,
        name=Words(**mode.name),
        iso_mode=mode.iso_mode,
        mechanism=mode.mechanism.split()[0],
        mechanism_name=_named(Part.MECHANISM, mode.mechanism.split()[0]),
        cause=mode.cause,
        cause_name=_named(Part.CAUSE, mode.cause),
        caused_by=list(mode.caused_by),
        skill=mode.skill,
        lead_h=mode.typical_lead_h,
        cost_planned=mode.cost.planned,
        cost_failure=mode.cost.failure,
        currency=mode.cost.currency,
        signature=[_sign(each) for each in mode.symptoms],
        effect=_words(mode.effect),
        checks=_lines(mode.checks),
        parts=_lines(mode.parts),
        lockout=_lines(mode.lockout),
        article=_words(mode.article),
        judged=judged,
    )


def _sign(sign: Symptom) -> SignShown:
    return SignShown(
        quantity=sign.quantity,
        words=list(sign.words),
        direction=sign.direction,
        weight=sign.weight,
        alert=sign.alert,
        unit=sign.unit,
    )


def _named(part: Part, code: str) -> Words:
    known = next((each.name for each in failure_codes.shipped() if (each.part, each.code) == (part, code)), {})
    return _words(known)


def _words(texts: Mapping[str, str]) -> Words:
    return Words(en=texts.get("en", ""), zh=texts.get("zh", ""))


def _lines(texts: Mapping[str, Sequence[str]]) -> Lines:
    return Lines(en=list(texts.get("en", ())), zh=list(texts.get("zh", ())))
