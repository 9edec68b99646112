"""What a section is for, told from its heading, in the languages of office documents."""

from __future__ import annotations

import re
from enum import Enum


class Role(Enum):
    """What a section does in its document."""

    BODY = "body"
    SUMMARY = "summary"
    CONCLUSION = "conclusion"
    BACK = "back"
    """References, acknowledgements, imprint, index: nobody summarises them."""
    CONTENTS = "contents"


_HEADINGS: dict[Role, tuple[str, ...]] = {
    Role.SUMMARY: (
        "abstract|summary|executive summary|management summary|key points|key findings|highlights|at a glance",
        "in brief|in one paragraph|overview|synopsis|main points|zusammenfassung|kurzfassung",
        "das wichtigste in kürze|auf einen blick|überblick|résumé|synthèse|en bref|points clés|l'essentiel",
        "resumen|resumen ejecutivo|síntesis|puntos clave|riassunto|sintesi|sommario esecutivo|resumo",
        "resumo executivo|samenvatting|sammanfattning|resumé|sammendrag|streszczenie|podsumowanie|аннотация",
        "краткое содержание|резюме|реферат|摘要|概要|要旨|要約|요약|초록|ملخص|الملخص|सारांश|özet",
    ),
    Role.CONCLUSION: (
        "conclusion|conclusions|concluding remarks|conclusion and future work|conclusions and future work",
        "discussion|conclusions and recommendations|recommendations|what we recommend|summary and conclusions",
        "outlook|next steps|decisions|resolutions|findings|fazit|schlussfolgerung|schlussfolgerungen|schluss",
        "empfehlungen|ergebnis|ergebnisse|beschlüsse|ausblick|recommandations|décisions|bilan|conclusión",
        "conclusiones|recomendaciones|acuerdos|conclusione|conclusioni|raccomandazioni|conclusão|conclusões",
        "recomendações|conclusie|conclusies|aanbevelingen|slutsats|slutsatser|wnioski|заключение|выводы",
        "рекомендации|结论|結論|まとめ|結語|결론|الخاتمة|خاتمة|التوصيات|निष्कर्ष|sonuç",
    ),
    Role.BACK: (
        "references|bibliography|works cited|literature|further reading|acknowledgments|acknowledgements",
        "acknowledgment|acknowledgement|index|glossary|copyright|licence|license|legal notice|disclaimer|imprint",
        "colophon|notes|footnotes|about the author|about the authors|author contributions|funding",
        "conflict of interest|list of figures|list of tables|literatur|literaturverzeichnis|quellen|danksagung",
        "impressum|haftungsausschluss|stichwortverzeichnis|fußnoten|références|bibliographie|remerciements",
        "mentions légales|referencias|bibliografía|agradecimientos|aviso legal|riferimenti|bibliografia",
        "ringraziamenti|referências|agradecimentos|referenties|literatuur|dankwoord|källor|литература",
        "список литературы|благодарности|参考文献|致谢|謝辞|참고문헌|المراجع|संदर्भ|kaynakça",
    ),
    Role.CONTENTS: (
        "contents|table of contents|inhalt|inhaltsverzeichnis|sommaire|table des matières|índice|contenido",
        "sommario|indice|sumário|inhoud|inhoudsopgave|innehåll|spis treści|содержание|оглавление|目录|目次|목차",
        "المحتويات|विषय सूची|içindekiler",
    ),
}
_ROLES = {name: role for role, lines in _HEADINGS.items() for line in lines for name in line.split("|")}
NUMBERING = re.compile(
    r"(?:(?:chapter|section|part|kapitel|chapitre|capítulo)\s+)?"
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}|[ivxIVX]{1,5}|[A-Z])[.):]?\s+"
)
_AROUND = " \t.:#*=_-–—•|"
_LONGEST = 60


def role_of(heading: str) -> Role | None:
    """The role that `heading` gives to what follows it; None when its words do not tell."""
    if len(heading) > _LONGEST:
        return None
    plain = " ".join(heading.strip(_AROUND).lower().split())
    bare = plain[match.end() :] if (match := NUMBERING.match(plain)) else plain
    return _ROLES.get(plain) or _ROLES.get(bare)


_RUN_IN = re.compile(r"\s*([^\W\d_][^\n.:—–]{2,40}?)\s?[.:—–]\s?(?=\S)")


def run_in_role(paragraph: str) -> Role | None:
    """The role of a paragraph whose heading stands in its own first line: "Abstract. We ..."."""
    match = _RUN_IN.match(paragraph[:_LONGEST])
    return role_of(match.group(1)) if match else None
