"""The three forms in which a file comes: multipart, the raw body, or JSON with a text or a URL."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from email.message import Message
from typing import Any

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headrace.errors import Malformed, UnsupportedType
from headrace.gateway.request import Request
from headrace.serving.upload import Upload

MOST_PARTS = 32
MOST_PART_HEADERS = 16 * 1024
FRAMING_BYTES = 64 * 1024
"""What multipart may add to a file, beyond the limit of the file itself."""

# The parser tells the log of each body that it cannot read, which the answer tells whoever sent it.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

Fetch = Callable[[str], Awaitable[Upload]]


async def fetch_nothing(url: str) -> Upload:
    """What fetches where no host is allowed."""
    raise UnsupportedType(
        f"This server fetches nothing from elsewhere, also not {url[:200]!r}.",
        remedy="Send the file itself, or allow its host in [server] allowed_url_hosts.",
    )


class Pointer(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form: a text itself, or the address of a file."""

    text: str | None = None
    url: str | None = None
    filename: str | None = None


_pointer = msgspec.json.Decoder(Pointer)


async def upload_of(request: Request, *, fetch: Fetch) -> Upload:
    """The file that a call brings.

    Raises:
        Malformed: it is in none of the three forms.
        TooLarge: it is over the limit.
    """
    media_type, options = parse_options_header(request.header("content-type"))
    if media_type == b"multipart/form-data":
        return _from_form(await request.body(), options.get(b"boundary"))
    if media_type == b"application/json":
        return await _from_json(request, fetch)
    content = await request.body()
    if not content:
        raise Malformed("The body is empty.", remedy="Send a file: as the body, as multipart, or JSON with a text.")
    return Upload(content, _filename(request.header("content-disposition")), media_type.decode("latin-1") or None)


async def _from_json(request: Request, fetch: Fetch) -> Upload:
    given = await request.json(_pointer)
    if (given.text is None) == (given.url is None):
        raise Malformed('The body names neither or both of "text" and "url".', remedy='Send {"text": "..."}.')
    if given.url is not None:
        return await fetch(given.url)
    return Upload(given.text.encode("utf-8", "surrogatepass"), given.filename, "text/plain; charset=utf-8")


def _from_form(body: bytes, boundary: bytes | None) -> Upload:
    if not boundary:
        raise Malformed("The multipart body has no boundary.", remedy="Send it with its Content-Type.")
    form = _Form()
    parser = MultipartParser(boundary, form.callbacks())
    try:
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Malformed(f"The multipart body cannot be read: {error}.", remedy="Send it anew.") from error
    if not form.is_whole:
        raise Malformed("The multipart body ends before its end.", remedy="Send all of it.")
    if form.file is None:
        raise Malformed('The form has no part called "file".', remedy="Send one: curl -F file=@a.pdf ...")
    return form.file


class _Form:
    """Gathers the part called `file`; the others are passed over, as pages of browsers send some of their own."""

    def __init__(self) -> None:
        self.file: Upload | None = None
        self.is_whole = False
        self._content = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._parts = self._header_bytes = 0

    def callbacks(self) -> Any:
        """As the parser wants them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Malformed(f"The form has more than {MOST_PARTS} parts.", remedy="Send one file a call.")
        self._content, self._headers, self._header_bytes = bytearray(), {}, 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MOST_PART_HEADERS:
            raise Malformed("The headers of a part are too long.", remedy="Send a shorter filename.")

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += memoryview(data)[start:end]

    def _end(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"").decode("utf-8", "replace")
        _, options = parse_options_header(disposition.encode("latin-1", "replace"))
        if options.get(b"name") != b"file":
            return
        if self.file is not None:
            raise Malformed('The form has several parts called "file".', remedy="Send one file a call.")
        media_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self.file = Upload(bytes(self._content), _filename(disposition), media_type or None)

    def _finish(self) -> None:
        self.is_whole = True


def _filename(disposition: str | None) -> str | None:
    """The file's own name, without any folders; RFC 2231 and RFC 5987 forms too."""
    if not disposition:
        return None
    message = Message()
    try:
        message["content-disposition"] = disposition.replace("\r", " ").replace("\n", " ")
        name = message.get_filename()
    except (ValueError, LookupError):
        return None
    return (name.replace("\\", "/").rsplit("/", 1)[-1] or None) if name else None
