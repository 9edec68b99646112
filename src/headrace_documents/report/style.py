"""The style sheet of the report: light and dark, on screen and on paper, without anything to fetch."""

STYLE = """
:root{--paper:#fbfaf7;--card:#fff;--ink:#1b1d21;--soft:#5d6470;--line:#e3e0d8;--accent:#0b5c7a;
--pro:#0a7a5c;--con:#c2410c;--sum:#f2c230;--pro-fill:rgb(10 122 92/.22);--con-fill:rgb(194 65 12/.20);
--sum-fill:rgb(242 194 48/.32);--shadow:0 1px 2px rgb(0 0 0/.05),0 6px 24px rgb(0 0 0/.06)}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2026;--ink:#e9e7e2;--soft:#9aa3af;--line:#2e343c;
--accent:#6cc4e4;--pro:#4fd1a5;--con:#fb923c;--pro-fill:rgb(79 209 165/.26);--con-fill:rgb(251 146 60/.26);
--sum-fill:rgb(242 194 48/.22);--shadow:0 1px 2px rgb(0 0 0/.4)}}
*{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding:5rem;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:86rem;padding:2rem clamp(1rem,3vw,2.5rem) 4rem;background:var(--paper);color:var(--ink);
font:16px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums;text-rendering:optimizeLegibility}
h1{font-size:1.7rem;line-height:1.2;letter-spacing:-.015em;margin:.2rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;color:var(--soft);margin:0 0 .7rem;font-weight:600}
p{margin:.4rem 0}a{color:var(--accent);text-underline-offset:.18em;text-decoration-thickness:.06em}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
.soft{color:var(--soft)}.small{font-size:.86rem}.num{text-align:right;white-space:nowrap}
.facts{display:flex;flex-wrap:wrap;gap:.2rem 1.6rem;color:var(--soft);font-size:.9rem;margin:.3rem 0 1.6rem;padding:0;
list-style:none}.facts b{color:var(--ink);font-weight:600}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.2rem;margin:0 0 1rem;
box-shadow:var(--shadow)}
.scroll{overflow-x:auto;padding:0}table{border-collapse:collapse;width:100%}
th{font-size:.76rem;letter-spacing:.07em;text-transform:uppercase;color:var(--soft);font-weight:600;text-align:left;
padding:.8rem .9rem;border-bottom:1px solid var(--line);white-space:nowrap}
td{padding:.75rem .9rem;border-top:1px solid var(--line);vertical-align:top}tbody tr:first-child td{border-top:0}
tbody tr:hover td{background:color-mix(in srgb,var(--accent) 5%,transparent)}
td.file{min-width:12rem;max-width:20rem;overflow-wrap:anywhere;font-weight:600}
td.file small{font-weight:400;display:block}
td.says{min-width:20rem;font-size:.92rem;overflow-wrap:anywhere}td.why{min-width:11rem;max-width:17rem}
.badge{white-space:nowrap}.label{font-weight:600}.sure{color:var(--soft)}
.bar{display:block;height:6px;border-radius:3px;background:var(--line);overflow:hidden;min-width:4rem;margin-top:.35rem}
.bar i{display:block;height:100%;background:var(--accent);border-radius:3px}
.chip{display:inline-block;font-size:.84rem;padding:.05rem .5rem;margin:0 .25rem .3rem 0;border-radius:6px;
background:var(--pro-fill);overflow-wrap:anywhere;max-width:100%}.chip.con{background:var(--con-fill)}
.verdict{font-size:.8rem;padding:.1rem .55rem;border-radius:99px;border:1px solid var(--line);color:var(--soft)}
.verdict.suspect{color:var(--con);border-color:currentColor}
.split{display:grid;grid-template-columns:minmax(0,1fr) 25rem;gap:1.6rem;align-items:start}
aside{position:sticky;top:1rem;max-height:calc(100vh - 2rem);overflow:auto;padding-right:.2rem}
figure{margin:0 0 1.4rem}figure .sheet{position:relative;border:1px solid var(--line);border-radius:6px;overflow:hidden;
box-shadow:var(--shadow);background:#fff}figure img{display:block;width:100%;height:auto}
figure svg{position:absolute;inset:0;width:100%;height:100%}
figcaption{color:var(--soft);font-size:.84rem;margin-top:.4rem}
svg rect{mix-blend-mode:multiply}svg .sum rect{fill:rgb(242 194 48/.35)}
svg .pro rect{fill:rgb(10 122 92/.22);stroke:#0a7a5c;stroke-width:1}
svg .con rect{fill:rgb(194 65 12/.16);stroke:#c2410c;stroke-width:1;stroke-dasharray:3 1.5}
svg a:target rect,svg a:focus-visible rect,svg a:hover rect{stroke:#0b3a7a;stroke-width:2.2;stroke-dasharray:none}
mark{color:inherit;background:none;border-radius:2px;padding:.05em 0}mark.sum{background:var(--sum-fill)}
mark.pro{background:var(--pro-fill);box-shadow:inset 0 -2px var(--pro)}
mark.con{background:var(--con-fill);box-shadow:inset 0 -2px var(--con)}
mark:target{outline:3px solid var(--accent);outline-offset:1px}
.text{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.95rem;line-height:1.65;tab-size:4;margin:0}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;font-size:.84rem;color:var(--soft);margin:0 0 .9rem;padding:0;
list-style:none}.legend i{display:inline-block;width:1.2em;height:.8em;border-radius:2px;margin-right:.4em;
vertical-align:-.02em}.legend .sum{background:var(--sum-fill)}
.legend .pro{background:var(--pro-fill);border:1.5px solid var(--pro)}
.legend .con{background:var(--con-fill);border:1.5px dashed var(--con)}
ol.list,ul.list{list-style:none;margin:0;padding:0}.list li{padding:.28rem 0}.list li:target{background:var(--sum-fill)}
.weight{display:grid;grid-template-columns:minmax(0,1fr) 5.5rem 3.4rem;gap:.7rem;align-items:center}
.weight a,.weight span.word{overflow-wrap:anywhere}
.weight .bar{margin:0;min-width:0}.weight .bar i{background:var(--pro)}.weight.con .bar i{background:var(--con)}
.sum-up{border-top:1px solid var(--line);margin-top:.5rem;padding-top:.5rem;font-size:.86rem;color:var(--soft)}
.list.said li{padding:.4rem 0 .4rem .8rem;border-left:3px solid var(--sum);margin-bottom:.5rem;overflow-wrap:anywhere}
.said a,.weight a{color:inherit;text-decoration:none}.said a:hover,.weight a:hover{text-decoration:underline}
header .badge{font-size:1.1rem}
details summary{cursor:pointer;color:var(--soft);font-size:.9rem;padding:.2rem 0}dl{display:grid;
grid-template-columns:auto minmax(0,1fr);gap:.2rem 1rem;margin:0;font-size:.88rem}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}code{font:.86em ui-monospace,"DejaVu Sans Mono",monospace}
@media(max-width:62rem){.split{grid-template-columns:minmax(0,1fr)}aside{position:static;max-height:none;order:-1}}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--shadow:none}
body{max-width:none;padding:0;font-size:10.5pt}nav,details:not([open]){display:none}.split{display:block}
aside{position:static;max-height:none;overflow:visible}.card{break-inside:avoid;box-shadow:none}
figure{break-inside:avoid}tr{break-inside:avoid}a{color:inherit;text-decoration:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
