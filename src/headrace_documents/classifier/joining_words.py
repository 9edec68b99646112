# ruff: noqa: E501, FLY002, RUF001 - one language a few lines, in its own letters
"""Words that join others and name nothing, in the languages of office documents: articles, prepositions, pronouns."""

from __future__ import annotations

JOINING = frozenset(
    " ".join(
        (
            "a an the this that these those and or but nor so if then than as at by for from in into of off on onto out",
            "over per to up upon with within without about after before between during through under until while am is",
            "are was were be been being do does did done have has had having will would shall should can could may might",
            "must not no yes it its he him his she her hers they them their theirs we us our ours you your yours i me my",
            "mine who whom whose which what when where why how all any both each few more most other some such only own",
            "same too very just also there here again once s t d ll re ve m don didn doesn isn aren wasn weren won",
            "der die das den dem des ein eine einen einem einer eines und oder aber wenn als ob dass daß wie so auch nur",
            "noch schon zu zum zur von vom bei beim mit nach aus auf an am in im für über unter um durch gegen ohne bis ist",
            "sind war waren sein hat haben hatte hatten wird werden wurde wurden kann können soll sollen muss müssen nicht",
            "kein keine keinen er sie es wir ihr ihre ihren ihrer ihm ihn ich mich mir du sich uns unser unsere diese",
            "dieser dieses diesem diesen da hier dort man mehr sehr",
            "le la les l un une des du de d et ou mais si que qui quoi dont où ce cet cette ces c qu n s j il elle ils elles",
            "on nous vous je tu me te se lui leur leurs son sa ses mon ma mes ton ta tes notre nos votre vos à au aux en dans",
            "par pour sur sous avec sans entre vers chez depuis est sont était étaient être a ont avait avoir ne pas plus",
            "très y comme aussi même tout tous toute toutes",
            "el la los las lo un una unos unas y e o u pero si que quien cual cuyo de del al a en con por para sin sobre",
            "entre hasta desde es son era eran ser está están estaba ha han había haber no ni se su sus mi mis tu tus nos",
            "le les me te yo él ella ellos ellas nosotros usted ustedes este esta estos estas ese esa esos esas esto como",
            "más muy también ya cuando donde",
            "il lo gli i uno di da dal della dello dei delle del al alla alle nel nella nei nelle sul sulla con per tra fra",
            "ed ma se che chi cui non è sono era erano essere ha hanno ho si ci vi ne mi ti suo sua loro questo questa",
            "os as um uma uns umas do da dos das no na nos nas ao aos à às em com por pelo pela para sem que não é são",
            "foi ser tem têm se seu sua seus suas este esta isto como mais",
            "het een en of maar als dat die dit deze van voor bij op aan uit met naar om te ten ter tot door over is zijn",
            "was waren worden wordt heeft hebben niet geen er je u ik wij we zij ze hij haar hun ons onze",
            "и а но или что чтобы как когда если то же ли бы не ни нет да в во на с со к ко у о об от до из за по под над",
            "при для без через между это этот эта эти тот та те он она оно они мы вы я его её ее их ему ей им нам вам мне",
            "меня нас вас был была было были быть есть так там тут уже ещё еще только",
            "في من إلى الى على عن مع أن ان إن لا ما لم لن قد هذا هذه ذلك تلك التي الذي هو هي هم نحن أو او ثم كان كانت و",
            "och att det som en ett på av för med den till är om inte jag vi ni har var i från men",
            "og at det som en et på af for med den til er om ikke jeg vi har var fra men",
            "w z na do i o że się nie jest są był była było to ten ta te za po od przez dla jak ale lub oraz u ze we",
        )
    ).split()
)
"""Casefolded. They stay in the score; a list of what speaks for a label leaves them to its rest."""
