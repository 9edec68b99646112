"""Words by which a text says itself what it is about, and words of what nobody asked for (Edmundson, 1969)."""

from __future__ import annotations

import re

_TELLING = (
    r"(?:this|the present|our) (?:paper|report|study|article|document|work|review|survey|agreement|contract)",
    r"(?:this|the present|our) (?:policy|letter|guide|handbook|manual|proposal|investigation)",
    r"in (?:summary|conclusion|short|brief|this paper|this article|this report|this study|this work)",
    r"to (?:summari[sz]e|conclude)",
    r"we (?:have )?(?:present|propose|describe|show|introduce|conclude|recommend|find|found|demonstrate|argue)",
    r"we (?:have )?(?:investigate|report|develop|evaluate|address|study|ask|request|expect|decide|agree)",
    r"(?:the )?(?:aim|goal|purpose|objective|subject) of",
    r"(?:our|the) (?:results?|findings?|approach|method|experiments) ",
    r"(?:dies(?:er|e|es)|der vorliegende|die vorliegende) (?:bericht|vertrag|artikel|arbeit|studie|dokument|anleitung)",
    r"wir (?:empfehlen|zeigen|stellen|beschreiben|schlagen|bitten|haben (?:gezeigt|beschlossen))|zusammenfassend",
    r"ziel (?:ist|der|des)",
    r"(?:ce|cet|cette|le présent|la présente) (?:rapport|article|étude|document|contrat|travail)",
    r"en (?:résumé|conclusion|bref)",
    r"nous (?:recommandons|proposons|présentons|montrons|décrivons|concluons|demandons)|l'objectif|le but",
    r"(?:este|esta|el presente|la presente) (?:informe|artículo|estudio|documento|contrato|trabajo)",
    r"en (?:resumen|conclusión)|(?:recomendamos|proponemos|presentamos|mostramos|concluimos|solicitamos)",
    r"el objetivo|se acuerda|se aprueba",
    r"(?:questo|questa|il presente|la presente) (?:rapporto|relazione|articolo|studio|documento|contratto)",
    r"in (?:sintesi|conclusione)",
    r"(?:este|esta|o presente|a presente) (?:relatório|artigo|estudo|documento|contrato)|em (?:resumo|conclusão)",
    r"(?:dit|deze) (?:rapport|verslag|artikel|studie|document|overeenkomst)|samenvattend",
    r"wij (?:adviseren|stellen|concluderen)",
)
_IDLE = (
    r"all rights reserved|copyright|trademarks?|permission is granted|without warranty",
    r"errors? and omissions? excepted|thank you for|yours (?:sincerely|faithfully|truly)",
    r"(?:kind|best|warm) regards|do not hesitate|look forward to|hesitate to contact|alle rechte vorbehalten",
    r"mit freundlichen grüßen|freundliche grüße|für rückfragen|tous droits réservés|cordialement|veuillez agréer",
    r"je vous prie d'agréer|todos los derechos reservados|atentamente|un (?:cordial )?saludo|cordiali saluti",
    r"distinti saluti|tutti i diritti riservati|com os melhores cumprimentos|met vriendelijke groet|с уважением",
    r"все права защищены|registered office|registered in england|unsubscribe",
    r"this e-?mail (?:and any|is intended|may contain)",
    r"view (?:this|it) in your browser|وتفضلوا بقبول|敬具|何卒よろしく|お引き立てを賜り|此致",
)
LONGEST_CONTACT = 20
_CONTACT = re.compile(r"\S@\S|https?:|www\.", re.IGNORECASE)
_TELLS = re.compile(rf"(?<!\w)(?:{'|'.join(_TELLING)})", re.IGNORECASE)
_IDLES = re.compile(rf"(?<!\w)(?:{'|'.join(_IDLE)})", re.IGNORECASE)


def tells(line: str) -> bool:
    """Whether `line` speaks of its own text: what it shows, recommends, concludes."""
    return _TELLS.search(line) is not None


def is_idle(line: str) -> bool:
    """Whether `line` is a courtesy, a licence or an imprint."""
    return _IDLES.search(line) is not None


def is_contact(line: str) -> bool:
    """Whether `line` is mostly where to write or to look: an address of mail or web among few words."""
    return len(line.split()) < LONGEST_CONTACT and _CONTACT.search(line) is not None
