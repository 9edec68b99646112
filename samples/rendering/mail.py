"""Mail as it lies in a mailbox: EML, and the Outlook item in `outlook.py` beside it."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from rendering.pages import markup, pdf
from rendering.plain_text import typed
from rendering.sources import Source

CHARSETS = {"eml": "utf-8", "eml-latin1": "iso-8859-1", "eml-koi8": "koi8-r", "eml-pdf": "utf-8"}
ENCODINGS = {"utf-8": "quoted-printable", "iso-8859-1": "quoted-printable", "koi8-r": "base64"}


def eml(source: Source, recipe: str) -> bytes:
    """The mail with its head; an attachment, where the source has one, as PDF."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = source.front["from"], source.front["to"]
    message["Subject"] = source.title
    message["Date"] = format_datetime(source.moment)
    message["Message-ID"] = f"<{source.moment:%Y%m%d}.{source.name}@mail.example>"
    if recipe == "eml-html":
        page = f"<html><body style='font-family: sans-serif'>\n{markup(source.blocks)}</body></html>\n"
        message.set_content(page, subtype="html", charset="utf-8", cte="quoted-printable")
    else:
        charset = CHARSETS[recipe]
        message.set_content(typed(source), charset=charset, cte=ENCODINGS[charset])
    if source.attachment:
        name = source.front["attach"]
        message.add_attachment(pdf(source.attachment), maintype="application", subtype="pdf", filename=name)
        message.set_boundary("=_part_of_one_mail")
    return message.as_bytes()
