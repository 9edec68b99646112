"""The looks of laid-out documents: one style sheet for each, on a shared ground."""

from rendering.sources import Source

# Blocks stand side by side as inline blocks: floats would be painted, and so read, out of their order.
# For the same reason the marks of list items are running text.
GROUND = """
@page { size: A4; margin: 20mm 20mm 20mm 22mm; }
body { font: 10pt/1.4 "Liberation Sans", sans-serif; color: #1c1c1c; margin: 0; }
h1 { font-size: 19pt; line-height: 1.2; margin: 0 0 10pt; }
h2 { font-size: 12pt; margin: 13pt 0 4pt; break-after: avoid; }
h3 { font-size: 10.5pt; margin: 10pt 0 3pt; break-after: avoid; }
p { margin: 0 0 7pt; orphans: 2; widows: 2; }
ul, ol { margin: 0 0 8pt; padding-left: 4pt; list-style: none; counter-reset: item; }
li { margin-bottom: 2.5pt; counter-increment: item; }
ul > li { padding-left: 8pt; text-indent: -8pt; }
ol > li { padding-left: 14pt; text-indent: -14pt; }
ul > li::before { content: "• "; }
ol > li::before { content: counter(item) ". "; }
table { border-collapse: collapse; width: 100%; margin: 7pt 0 10pt; font-size: 92%; }
th { text-align: left; vertical-align: bottom; border-bottom: 1pt solid ACCENT; padding: 3pt 5pt; }
td { vertical-align: top; border-bottom: 0.4pt solid #c4c4c4; padding: 3pt 5pt; }
tr { break-inside: avoid; }
thead { display: table-header-group; }
.right { text-align: right; white-space: nowrap; }
.label { font-weight: bold; }
.sender, .address, .facts { margin-bottom: 14pt; }
.sign { margin-top: 24pt; break-inside: avoid; }
.sign div { margin-bottom: 5pt; }
.totals { margin: 4pt 5pt 14pt auto; display: table; }
.totals > div { display: table-row; }
.totals .label, .totals .value { display: table-cell; padding: 1.5pt 0 1.5pt 14pt; font-weight: normal; }
.totals .value { text-align: right; }
.totals .strong .label, .totals .strong .value { font-weight: bold; border-top: 0.8pt solid ACCENT; }
.highlight { border-left: 3pt solid ACCENT; background: #f3f3f0; padding: 6pt 9pt; margin: 8pt 0 10pt; }
.tagline { color: #555; margin: -6pt 0 12pt; }
.small { font-size: 8pt; color: #666; border-top: 0.4pt solid #bbb; margin-top: 18pt; padding-top: 4pt; }
.code { font-family: "Liberation Mono", monospace; font-size: 9pt; background: #f2f2f2; padding: 5pt; }
.page-end { break-after: page; }
@media screen { body { max-width: 46em; margin: 2em auto; padding: 0 1em; } }
"""

LOOKS = {
    "plain": """
h1 { color: ACCENT; }
h2 { color: ACCENT; }
th { background: #efefef; }
""",
    "modern": """
body { font-family: "Lato", sans-serif; }
h1 { color: ACCENT; font-size: 23pt; letter-spacing: 0.5pt; }
h2 { color: ACCENT; }
.sender { border-bottom: 2.5pt solid ACCENT; padding-bottom: 8pt; margin-bottom: 16pt; }
.address, .facts { display: inline-block; width: 47%; vertical-align: top; }
th { background: ACCENT; color: white; font-weight: normal; }
""",
    "classic": """
@page { margin: 24mm 26mm; }
body { font: 10.5pt/1.42 "Liberation Serif", serif; }
p { text-align: justify; }
h1 { text-align: center; font-size: 17pt; margin-bottom: 16pt; }
h2 { font-size: 11pt; }
td, th { border: 0.5pt solid #777; }
""",
    "serif": """
@page { margin: 22mm 24mm; }
body { font: 10.5pt/1.4 "Caladea", serif; }
h1 { color: ACCENT; font-size: 18pt; border-bottom: 1pt solid ACCENT; padding-bottom: 3pt; }
h2 { font-size: 12.5pt; }
""",
    "letterhead": """
@page { margin: 18mm 26mm 22mm; }
body { font: 11pt/1.45 "Caladea", serif; }
.sender { text-align: center; color: ACCENT; border-bottom: 1.2pt solid ACCENT;
  padding-bottom: 7pt; margin-bottom: 26pt; }
.sender b { font-size: 17pt; letter-spacing: 1pt; }
.label { font-weight: normal; }
.sign { margin-top: 34pt; }
""",
    "letter": """
@page { margin: 24mm 26mm; }
body { font: 11pt/1.5 "Carlito", sans-serif; }
.sender { text-align: right; margin-bottom: 22pt; }
.address { margin-bottom: 26pt; }
p { margin-bottom: 9pt; }
.sign { margin-top: 30pt; }
""",
    "typewriter": """
@page { margin: 20mm 20mm; }
body { font: 9.6pt/1.45 "Liberation Mono", monospace; }
h1 { font-size: 15pt; }
h2 { font-size: 10.5pt; }
.sender { text-align: center; border-bottom: 1.5pt double black; padding-bottom: 8pt; }
.sender b { font-size: 14pt; }
.address, .facts { display: inline-block; width: 48%; vertical-align: top; }
.label { font-weight: normal; }
td, th { border: 0.6pt solid black; }
""",
    "columns": """
@page { margin: 16mm 17mm 18mm; }
body { font: 9.4pt/1.4 "Liberation Serif", serif; }
h1 { font: bold 20pt/1.2 "Lato", sans-serif; color: ACCENT; }
h2 { font: bold 11pt/1.3 "Lato", sans-serif; color: ACCENT; margin-top: 10pt; }
h3 { font: bold 9.6pt/1.3 "Lato", sans-serif; margin-top: 6pt; }
.facts { border: 0.6pt solid ACCENT; padding: 6pt 9pt; }
section.columns { columns: 2; column-gap: 8mm; text-align: justify; hyphens: manual; }
section.columns table { font-size: 82%; text-align: left; }
section.columns th, section.columns td { padding: 2pt 3pt; }
.sign { margin-top: 10pt; }
.sign div { margin-bottom: 1.5pt; }
""",
    "sidebar": """
@page { margin: 0; }
body { font: 10pt/1.42 "Lato", sans-serif; }
h1 { background: ACCENT; color: white; font-size: 25pt; margin: 0; padding: 17mm 18mm 2mm; }
.tagline { background: ACCENT; color: white; margin: 0 0 9mm; padding: 0 18mm 9mm; font-size: 12pt; }
h2 { color: ACCENT; text-transform: none; border-bottom: 0.8pt solid ACCENT; padding-bottom: 2pt; }
section { display: inline-block; vertical-align: top; }
section.sidebar { width: 52mm; margin-left: 18mm; font-size: 9.2pt; }
.main { width: 110mm; margin-left: 9mm; }
.sidebar h2:first-child, .main h2:first-child { margin-top: 0; }
""",
    "booklet": """
@page { margin: 22mm 24mm 24mm; }
body { font: 10.6pt/1.5 "Liberation Serif", serif; }
h1 { font: bold 32pt/1.15 "Lato", sans-serif; color: ACCENT; margin-top: 42mm; }
h2 { font: bold 16pt/1.2 "Lato", sans-serif; color: ACCENT; margin-top: 20pt; }
h3 { font: bold 11pt/1.3 "Lato", sans-serif; }
.tagline { font: 12pt/1.5 "Lato", sans-serif; margin: 0 0 26mm; }
.highlight { margin-bottom: 14mm; padding: 10pt 14pt; }
""",
    "japanese": """
body { font: 10.5pt/1.6 "IPAGothic", sans-serif; }
h1 { text-align: center; font-weight: normal; font-size: 22pt; letter-spacing: 12pt;
  border-bottom: 2.4pt double #333; padding-bottom: 6pt; }
h2 { font-size: 11.5pt; font-weight: normal; }
b, th, .label { font-weight: normal; }
.address, .facts { display: inline-block; width: 48%; vertical-align: top; }
.address { font-size: 11.5pt; }
.sender { margin-left: 52%; font-size: 9.5pt; }
.highlight { font-size: 15pt; text-align: center; border: 1pt solid #333; }
.totals .strong .label, .totals .strong .value { font-weight: normal; }
td, th { border: 0.5pt solid #777; }
""",
}

FEET = """
@page { @bottom-left { content: "TITLE"; font: 8pt "Lato"; color: #777; }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt "Lato"; color: #777; } }
"""


def stylesheet(source: Source) -> str:
    """The CSS for the look that the source asks for, in the colour of its house."""
    feet = FEET.replace("TITLE", source.title) if source.front.get("footer") == "yes" else ""
    return (GROUND + LOOKS[source.front.get("look", "plain")] + feet).replace("ACCENT", source.accent).lstrip()
