"""What ends with a full stop without ending a sentence, by language; all in lower case and without the last stop."""

from __future__ import annotations


def words(*lines: str) -> frozenset[str]:
    """The words that stand in `lines`."""
    return frozenset(" ".join(lines).split())


NEVER_LAST = words(
    # Something always follows these: titles, "for example", "that is".
    "mr mrs ms mx dr prof st messrs rev revd gen col capt lt sgt rep sen gov supt",
    "e.g i.e cf viz vs approx incl excl ca",
    "hr fr frl herr dipl ing hrsg z.b d.h u.a v.a o.ä i.d.r z.t s.o s.u bzw vgl evtl ggf",
    "zzgl inkl bspw sog str tel telef tél avda",
    "mme mlle mgr c.-à-d p.ex",
    "sr sra srta dra ud uds ej p.ej excmo ilmo",
    "sig sig.ra dott dott.ssa ing avv geom rag egr spett",
    "exmo exma dhr mevr mw drs bijv d.w.z o.a",
    "т.е т.к т.н напр гг ул tj tzn tzw np ul prof.dr",
)
"""Never the last word of a sentence."""

BEFORE_NUMBER = words(
    "no nos nr nrs num núm nº art arts abs s p pp f ff fig figs eq eqs sec sect ch chap vol vols",
    "ed eds tab tbl abb kap bd ziff rn rz anm anl bl blz pag pág cap ref refs app z ust az §",
    "jan feb mar apr jun jul aug sep sept oct okt nov dec dez janv févr juil déc ene abr ago set dic",
    "рис табл стр гл п пп ст № č str. lp poz rys",
)
"""Not the last word of a sentence when a number follows."""

SOMETIMES_LAST = words(
    "etc et.al al inc ltd co corp llc plc bros jr sr dept univ assn est esq phd ph.d m.d b.a m.a a.m p.m",
    "usw etc.pp ff u.s u.k e.v gmbh jh jhdt mio mrd tsd std min mwst",
    "s.a s.l s.r.l s.p.a cía cia ltda lda aprox ecc enz m.b.v t.a.v",
    "jan feb mar apr jun jul aug sep sept oct okt nov dec dez janv févr juil déc",
    "т.д т.п др руб тыс млн млрд г",
)
"""May end a sentence: what follows decides."""

STARTERS = words(
    "the a an this that these those it he she we they i you in on at as for from by with to of but and or so if",
    "when while after before however there here his her our your my their its all no not what which who how",
    "der die das ein eine einen dem den im am es er sie wir ich ihr und aber wenn als nach bei mit für auf",
    "von zu zur zum diese dieser dieses dies auch so da dann danach dort hier nur nicht alle",
    "le la les un une des du de l il elle nous vous ils elles on ce cette ces et mais si quand dans pour par",
    "el los las una del en por para con su sus este esta estos estas es se y pero cuando no",
    "lo gli i di da nel nella con per che questo questa ma se quando non",
    "o os as um uma do da no na ao em com seu sua este esta isto mas quando não",
    "het een van op met voor bij dit deze die en maar als toen niet",
    "в на и но а он она они мы это этот эта если когда по для с из не",
)
"""Words that begin sentences and are no names; when one follows in capitals, a doubtful stop was a full one."""

ORDINAL_LANGUAGES = words("de da nb nn no fi et cs sk sl hr sr bs hu pl lv lt tr is eu")
"""Languages that write ordinal numbers with a stop: "am 3. Oktober"."""
