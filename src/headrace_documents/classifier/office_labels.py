"""The labels that are known at once: kinds of office documents, described by the words that stand in them."""

from __future__ import annotations

OFFICE_LABELS = {
    "invoice": (
        "a bill that asks for payment: invoice number, amount due, total, VAT, net, due date, bank account, IBAN; "
        "Rechnung, Rechnungsnummer, Betrag, MwSt, zahlbar; facture, montant, TVA, échéance; factura, importe, IVA, "
        "vencimiento; fattura; счёт, сумма, оплата; 請求書, 合計, 支払; 发票; فاتورة"
    ),
    "contract": (
        "an agreement between parties: clause, party, obligations, term, termination, liability, governing law, "
        "confidentiality, shall, hereby, signed; Vertrag, Vertragsparteien, Kündigung, Haftung, Mieter, Vermieter; "
        "contrat, les parties, résiliation, prestataire; contrato, cláusula, rescisión; договор, стороны, "
        "обязуется, поставщик; 契約書, 合同; عقد"
    ),
    "letter": (
        "a letter from one person to another: dear, yours sincerely, kind regards, I am writing to, thank you; "
        "Sehr geehrte, Mit freundlichen Grüßen, Liebe; Madame, Monsieur, veuillez agréer, salutations; Estimado, "
        "atentamente, un cordial saludo; 拝啓, 敬具; 尊敬的, 此致, 敬礼; السيد, تحياتي"
    ),
    "report": (
        "a report of results: summary, findings, results, conclusion, figures, table, analysis, increase, quarter, "
        "annual, recommendations; Bericht, Ergebnisse, Zusammenfassung, Auswertung; rapport, résultats, synthèse; "
        "informe, resultados, conclusiones; отчёт, результаты, выводы; 報告書, 报告; تقرير"
    ),
    "minutes": (
        "minutes of a meeting: present, apologies, agenda, item, resolved, action, chair, motion, next meeting; "
        "Protokoll, Sitzung, Anwesend, Tagesordnung, Beschluss; compte rendu, procès-verbal, réunion, présents, "
        "ordre du jour; acta, reunión, asistentes, orden del día, acuerdos; протокол, заседание; 議事録, 会议纪要"
    ),
    "cv": (
        "a curriculum vitae, résumé of a person: experience, education, skills, employment, degree, languages, "
        "references, date of birth; Lebenslauf, Berufserfahrung, Ausbildung, Kenntnisse; expérience, formation, "
        "compétences; experiencia, formación, idiomas; резюме, образование, опыт работы; 履歴書, 简历; سيرة ذاتية"
    ),
    "manual": (
        "instructions for using a device or program: press, button, install, warning, step, switch on, settings, "
        "safety, cleaning, troubleshooting; Bedienungsanleitung, Taste, drücken, Sicherheitshinweise, Wartung; "
        "notice d'utilisation, appuyez, bouton, entretien; instrucciones, pulse, botón; руководство, инструкция; "
        "取扱説明書, 说明书; دليل"
    ),
    "support_mail": (
        "a customer asks for help: problem, does not work, error, ticket, order, refund, please help; "
        "Problem, Fehler, funktioniert nicht, Bestellung, bitte helfen; problème, ne fonctionne pas, commande, "
        "assistance; problema, no funciona, pedido, ayuda; проблема, ошибка, не работает, помогите; 不具合, 问题"
    ),
}
"""What each label means, in the words of several languages."""
