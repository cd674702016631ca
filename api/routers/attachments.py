"""Files of tickets: sent as they are, shown by their content's hash, never as anything that could run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse

from api.deps import Context, Ctx, router
from api.gate import UPLOAD
from api.own import readable, shown_to
from api.policies import Grant, allow
from api.shapes import Id, Moment, Output, Page, When
from api.shown import AssetShown
from api.uploads import Upload, files_of, limits_of
from core.errors import NotFound
from plant import assets, labels
from tickets import attachments, label_image
from tickets.attachments import Attachment, Received
from tickets.file_errors import FileEmpty, FileTypeRefused
from tickets.files import Files
from tickets.images import Code
from tickets.model import Audience
from tickets.sniff import MEDIA, Kind

routes = router("attachments")
READ = [allow("attachment.read")]
ADD = [allow("attachment.add")]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is. Its type is found in its bytes; Content-Type is not looked at.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {media: {} for media in MEDIA}},
    206: {"description": "The part that Range asked for."},
    304: {"description": "If-None-Match names what it still is."},
    416: {"description": "There is no such part."},
}
SVG: dict[int | str, dict[str, Any]] = {200: {"description": "A label to print.", "content": {"image/svg+xml": {}}}}
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"
KEPT = "private, no-cache"  # may be kept by the one who asked, and is asked for again: a right may have ended
Name = Annotated[str, Query(max_length=200, description="What to call it; never a path.", examples=["bearing.jpg"])]
Note = Annotated[str, Query(max_length=2000)]


class CodeRead(Output):
    """A code in a picture and what it says."""

    format: str
    text: str


class AttachmentShown(Output):
    """A file. `thumbs` says which smaller sizes there are; `asset` is what a code in the picture names."""

    attachment_id: int
    ticket_id: int
    sha256: str
    name: str
    media: str
    kind: Kind
    bytes: int
    width: int | None
    height: int | None
    audience: Audience
    note: str
    by: str
    taken_at: Moment
    made_at: Moment
    codes: list[CodeRead]
    asset: AssetShown | None


class Scanned(Output):
    """The codes in a picture, and the asset of this site that one of them names."""

    codes: list[CodeRead]
    asset: AssetShown | None


@routes.post("/tickets/{ticket_id}/attachments", status_code=201, dependencies=ADD, openapi_extra=BODY)
def add_attachment(
    ctx: Ctx,
    request: Request,
    response: Response,
    ticket_id: Id,
    name: Name = "",
    note: Note = "",
    audience: Audience = Audience.INTERNAL,
    taken_at: Annotated[When | None, Query(description="When, by the device's clock.")] = None,
) -> AttachmentShown:
    """Add a file to a ticket; 200 when the ticket has this content already. What a requester adds is for both."""
    readable(ctx, ticket_id)
    made, new = attachments.attach(
        ctx.conn,
        ctx.actor,
        ticket_id,
        files=_files(request),
        received=_received(request),
        name=name,
        note=note,
        audience=Audience.REQUESTER if ctx.grant is Grant.OWN else audience,
        taken_at=taken_at,
        now=ctx.now,
    )
    response.headers["location"] = f"/api/v1/attachments/{made.attachment_id}"
    if not new:
        response.status_code = 200
    return _shown(ctx, made)


@routes.get("/tickets/{ticket_id}/attachments", dependencies=READ)
def list_attachments(ctx: Ctx, ticket_id: Id) -> Page[AttachmentShown]:
    """A ticket's files, oldest first; a requester sees those that are for them."""
    readable(ctx, ticket_id)
    return Page(items=[_shown(ctx, each) for each in attachments.of(ctx.conn, ticket_id, audience=shown_to(ctx))])


@routes.post("/attachments/scan", dependencies=ADD, openapi_extra=BODY)
def scan(ctx: Ctx, request: Request) -> Scanned:
    """Read the QR and DataMatrix codes of a picture, which is not kept, and name the asset."""
    received = _received(request)
    if received.seen.kind is not Kind.IMAGE:
        raise FileTypeRefused("Codes are read from pictures: JPEG, PNG, GIF or WebP.")
    return Scanned(codes=_codes(received.codes), asset=_asset(ctx, received.codes))


@routes.get("/attachments/{attachment_id}", dependencies=READ)
def get_attachment(ctx: Ctx, attachment_id: Id) -> AttachmentShown:
    """One file's facts."""
    return _shown(ctx, _seen(ctx, attachment_id))


@routes.get("/attachments/{attachment_id}/content", dependencies=READ, response_class=Response, responses=CONTENT)
def get_content(
    ctx: Ctx, request: Request, attachment_id: Id, size: Literal["original", "large", "small"] = "original"
) -> Response:
    """The file itself, or a picture made smaller (WebP, upright, without its place); Range and If-None-Match work."""
    found = _seen(ctx, attachment_id)
    path, media = _path(_files(request), found, size)
    etag = f'"{found.digest.hex()[:32]}-{size}"'
    headers = _safe(found.name if size == "original" else f"{found.name}.webp", etag)
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=media, headers=headers)


@routes.get("/assets/{asset_id}/label", dependencies=[allow("asset.read")], response_class=Response, responses=SVG)
def asset_label(ctx: Ctx, request: Request, asset_id: Id) -> Response:
    """A label to print and stick to the machine: QR code with its address, code and name (SVG, 60 mm wide)."""
    asset = assets.asset(ctx.conn, asset_id)
    origin = f"{request.url.scheme}://{request.url.netloc}"
    text = labels.address(origin, ctx.site.code, asset)
    drawn = label_image.label(text, code=asset.code, name=asset.name)
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
    return Response(drawn, headers=headers, media_type="image/svg+xml")


def _files(request: Request) -> Files:
    return files_of(request.app.state.settings)


def _received(request: Request) -> Received:
    upload: Upload | None = request.scope.get(UPLOAD)
    if upload is None or upload.size == 0:
        raise FileEmpty
    return attachments.receive(upload.path, limits_of(request.app.state.settings))


def _seen(ctx: Context, attachment_id: int) -> Attachment:
    """The attachment, if the caller may see it and its ticket."""
    found = attachments.get(ctx.conn, attachment_id)
    try:
        readable(ctx, found.ticket_id)
    except NotFound as error:
        raise NotFound(f"There is no attachment {attachment_id} on this site.") from error
    if shown_to(ctx) not in (None, found.audience):
        raise NotFound(f"There is no attachment {attachment_id} on this site.")
    return found


def _path(files: Files, found: Attachment, size: str) -> tuple[Path, str]:
    path, media = files.path(found.site_id, found.digest), found.media
    if size != "original":
        path, media = files.thumb(found.site_id, found.digest, size), "image/webp"
    if not path.is_file():
        raise NotFound(
            "There is no smaller one of this file." if size != "original" else "The file is not on the disk."
        )
    return path, media


def _safe(name: str, etag: str) -> MutableHeaders:
    return MutableHeaders(
        {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "content-security-policy": SANDBOX,
            "cache-control": KEPT,
            "etag": etag,
        }
    )


def _shown(ctx: Context, found: Attachment) -> AttachmentShown:
    values = {name: getattr(found, name) for name in AttachmentShown.model_fields if hasattr(found, name)}
    values |= {"sha256": found.digest.hex(), "by": found.by_name, "codes": _codes(found.codes)}
    return AttachmentShown(**values | {"asset": _asset(ctx, found.codes)})


def _codes(codes: tuple[Code, ...]) -> list[CodeRead]:
    return [CodeRead(format=each.format, text=each.text) for each in codes]


def _asset(ctx: Context, codes: tuple[Code, ...]) -> AssetShown | None:
    found = (labels.asset_named(ctx.conn, each.text, site=ctx.site.code) for each in codes)
    asset = next((each for each in found if each is not None), None)
    return AssetShown.model_validate(asset) if asset else None
