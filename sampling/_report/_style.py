"""Stylesheet and script of the page: light, dark and print, and all that moves.

The page is complete without its script, which adds the switch of the theme, the choice of the
highlighted methods and the sorting of tables.
"""

# Found by a search for the largest difference between any two, as seen with each kind of colour
# blindness, with 3:1 on the background (a test computes both); markers and dashes differ as well.
from __future__ import annotations

LIGHT = ("#1a72a6", "#a6730f", "#2a9ea5", "#560758", "#202020", "#830708", "#5b49cf", "#ca2162")
DARK = ("#7a66c3", "#d2a535", "#60f997", "#c66393", "#f2f2f2", "#c1ff00", "#a134ff", "#de3d4f")
LIGHT_PAGE, DARK_PAGE = "#ffffff", "#14171c"


def _theme(dark: bool) -> str:
    colors = "".join(f"--c{at}:{each};" for at, each in enumerate(DARK if dark else LIGHT))
    if dark:
        return (
            f"color-scheme:dark;--bg:{DARK_PAGE};--card:#1c2027;--ink:#e9ecf1;--soft:#a9b2c0;"
            "--rule:#343b46;--link:#6cb6ff;--muted:#7f8998;--good:#5fd3a6;--bad:#ff9aa2;--open:#a9b2c0;"
            "--p0:#e3cf57;--p1:#e58ac4;--p2:#f0a13a;--p3:#56b4e9;--p4:#a9b2c0;"
            "--heat:86,180,233;--cold:240,161,58;" + colors
        )
    return (
        f"color-scheme:light;--bg:{LIGHT_PAGE};--card:#f6f7f9;--ink:#1a1d21;--soft:#545c67;"
        "--rule:#d9dde3;--link:#0b5cad;--muted:#8b929c;--good:#00694f;--bad:#a8192e;--open:#545c67;"
        "--p0:#8a6d00;--p1:#a8397f;--p2:#d98a3d;--p3:#0072b2;--p4:#545c67;"
        "--heat:0,114,178;--cold:217,120,20;" + colors
    )


_COLORS = "".join(f".k{at}{{--c:var(--c{at})}}" for at in range(len(LIGHT)))
_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;overflow-wrap:break-word;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",Arial,sans-serif}
main,header,footer{max-width:1040px;margin:0 auto;padding:0 20px}
h1{font-size:1.75rem;line-height:1.2;margin:.6em 0 .3em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.2em 0 .5em;scroll-margin-top:1em}
h3{font-size:1rem;margin:1.4em 0 .4em}
p,ul{margin:.5em 0;max-width:75ch}
a{color:var(--link)} .soft,figcaption,caption{color:var(--soft);font-size:.875rem}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--bg);padding:6px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.top{display:flex;gap:12px;align-items:flex-start;justify-content:space-between}
button{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--rule);
border-radius:6px;padding:6px 12px;cursor:pointer;min-height:36px}
#theme{margin-top:14px;white-space:nowrap}
.held{display:inline-block;border:1px solid var(--rule);border-left:4px solid var(--link);
background:var(--card);padding:4px 10px;border-radius:4px;font-size:.9rem}
.answer{background:var(--card);border:1px solid var(--rule);border-radius:8px;
padding:10px 20px;margin:1em 0}
.answer p{max-width:none}.answer p:first-child{font-size:1.125rem;font-weight:600}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;max-width:none}
nav a{display:inline-block;padding:4px 0}
figure{margin:1em 0}
.chart{display:block;width:100%;max-width:820px;height:auto}
.chart text{fill:var(--ink);font-size:13px}.chart .t{fill:var(--soft)}
.chart .g{stroke:var(--rule);stroke-width:.7;fill:none}
.chart .a{stroke:var(--soft);fill:none}
.defs{position:absolute;width:0;height:0}
.s .l{fill:none;stroke:var(--muted);stroke-width:1;stroke-opacity:.5}
.s .o{fill:none;stroke:var(--muted);stroke-width:4;stroke-linecap:round;stroke-opacity:.75}
.s .m,.s .b{display:none}
.s.on .l{stroke:var(--c);stroke-width:2.2;stroke-opacity:1;stroke-dasharray:var(--d)}
.s.on .o{display:none}
.s.on .m{display:inline;fill:var(--bg);stroke:var(--c);stroke-width:2}
.s.on .b{display:inline;fill:var(--c);fill-opacity:.13;stroke:none}
.full{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:6 4;fill:none}
.fullband{fill:var(--ink);fill-opacity:.08}
.goal{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:2 3;fill:none}
.front{stroke:var(--ink);stroke-width:3;stroke-opacity:.3;fill:none;stroke-linejoin:round}
.fulldot{stroke:var(--ink);stroke-width:10;stroke-linecap:round;fill:none}
.crosses{fill:none;stroke:var(--c);stroke-width:1.5}.ink{color:var(--c);font-weight:700}
.track{position:relative;width:min(40vw,420px);height:18px;border-bottom:1px solid var(--rule)}
.track i{position:absolute;top:7px;height:4px;background:var(--link);opacity:.5}
.track b{position:absolute;top:3px;width:11px;height:11px;margin-left:-5px;border-radius:50%;
background:var(--link)}
.track i,.track b{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.faint{stroke-opacity:.5}.dots{fill:none;stroke:var(--c);stroke-linecap:round;stroke-width:4;stroke-opacity:.55}
.dots.solid{stroke-opacity:1;stroke-width:4.5}
.sw{width:34px;height:14px;flex:none}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;margin:.5em 0;padding:0;list-style:none;
max-width:none;font-size:.875rem}
.legend li{display:inline-flex;gap:6px;align-items:center;overflow-wrap:anywhere}
.legend li.off{display:none}
.key{display:inline-block;width:34px;height:0;border-top:2px dashed var(--ink);flex:none}
.key.goal{border-color:var(--bad);border-top-style:dotted}
.key.front{border-top:4px solid;opacity:.4}
.pick{display:flex;flex-wrap:wrap;gap:6px;margin:.5em 0}
.pick button{display:inline-flex;gap:6px;align-items:center;font-size:.875rem;padding:3px 9px;
overflow-wrap:anywhere;text-align:left}
.pick button[aria-pressed=true]{border-color:var(--ink);font-weight:600}
.multi{display:grid;grid-template-columns:repeat(auto-fit,minmax(290px,1fr));gap:12px}
.multi figure{margin:0}
.scroll{overflow-x:auto;margin:.5em 0;max-width:100%}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:4px 0}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{font-weight:600}thead th{border-bottom:2px solid var(--soft);vertical-align:bottom}
th[scope=row],td.w,th.w{text-align:left}
th[scope=row]{max-width:34ch;overflow-wrap:anywhere;white-space:normal;min-width:16ch;
position:sticky;left:0;background:var(--bg)}
td.note{white-space:normal;min-width:24ch}
tr.mark th,tr.mark td{background:var(--card)}
thead button{all:unset;cursor:pointer;font-weight:600;text-decoration:underline dotted;
text-underline-offset:3px}
thead button:focus-visible{outline:3px solid var(--link)}
[aria-sort=ascending] button::after{content:" \\2191"}
[aria-sort=descending] button::after{content:" \\2193"}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
.bar{display:flex;width:min(34vw,360px);height:16px}
.bar.short{width:min(18vw,130px)}
.bar i{display:block;height:100%;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.p0{background:var(--p0)}.p3{background:var(--p3)}
.p1{background:repeating-linear-gradient(45deg,var(--p1) 0 4px,var(--bg) 4px 6px)}
.p2{background:repeating-linear-gradient(90deg,var(--p2) 0 5px,var(--bg) 5px 7px)}
.p4{background:repeating-linear-gradient(0deg,var(--p4) 0 3px,var(--bg) 3px 5px)}
.legend .p0,.legend .p1,.legend .p2,.legend .p3,.legend .p4{width:22px;height:14px;display:block}
.h{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.pos{background:rgba(var(--heat),var(--a))}.neg{background:rgba(var(--cold),var(--a))}
.grid{display:flex;flex-wrap:wrap;gap:8px;margin:.3em 0 1em;padding:0;list-style:none;
max-width:none}
.grid li{width:96px;font-size:.75rem;line-height:1.3;color:var(--soft);overflow-wrap:anywhere}
.grid img{display:block;width:72px;height:72px;object-fit:contain;image-rendering:auto;
background:var(--card);border:1px solid var(--rule)}
.grid img.small{image-rendering:pixelated}
.grid li.text{width:min(100%,320px);border:1px solid var(--rule);border-radius:6px;
padding:6px 10px;font-size:.8125rem}
.grid li.text b{color:var(--ink);font-weight:400;display:block}
.grid li.pair{width:min(100%,490px)}.grid li.pair strong{color:var(--ink)}
.grid li.pair div{display:flow-root;border-top:1px solid var(--rule);margin-top:5px;padding-top:4px}
.grid li.pair img{float:left;margin-right:8px}.grid li.text i{color:var(--soft)}
tr.sub th{font-weight:400;padding-left:22px}td.digest{font-size:.75rem;overflow-wrap:anywhere}
details{margin:.5em 0}summary{cursor:pointer;padding:4px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;font-size:.875rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:3em;padding-bottom:2em;color:var(--soft);font-size:.875rem}
@media (max-width:640px){
main,header,footer{padding:0 14px}h1{font-size:1.4rem}.answer{padding:6px 14px}
.chart text{font-size:20px}.multi .chart text{font-size:14px}
.chart .n{font-size:18px}.multi .chart .n{font-size:14px}
.s.on .l{stroke-width:3}dl{grid-template-columns:1fr}dt{margin-top:4px}
th,td{padding:4px 7px}th[scope=row]{min-width:13ch;max-width:22ch}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{
body{font-size:10.5pt}main,header,footer{max-width:none;padding:0}
#theme,.skip,nav,.pick,.helps{display:none}h2{break-after:avoid}
figure,.multi figure,tr,.answer,.grid li{break-inside:avoid}
.scroll{overflow:visible}.chart{max-width:17cm}thead{display:table-header-group}
th,td{white-space:normal;padding:2px 5px}table{font-size:8pt}a{color:inherit}
}
"""
STYLE = (
    f":root{{{_theme(False)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_theme(True)}}}}}"
    f":root[data-theme=light]{{{_theme(False)}}}:root[data-theme=dark]{{{_theme(True)}}}"
    f"@media print{{:root,:root[data-theme]{{{_theme(False)}}}}}" + _COLORS + _RULES
)

SCRIPT = """
(function(){
"use strict";
var root=document.documentElement,key="sampling-report-theme";
var all=document.querySelectorAll.bind(document);
function each(list,f){Array.prototype.forEach.call(list,f)}
function kept(){try{return localStorage.getItem(key)}catch(e){return null}}
function isDark(){var t=root.getAttribute("data-theme");
return t?t==="dark":matchMedia("(prefers-color-scheme: dark)").matches}
var theme=document.getElementById("theme"),was=kept();
if(was==="dark"||was==="light")root.setAttribute("data-theme",was);
function said(){theme.textContent=isDark()?"Light theme":"Dark theme"}
theme.hidden=false;said();
theme.addEventListener("click",function(){var next=isDark()?"light":"dark";
root.setAttribute("data-theme",next);try{localStorage.setItem(key,next)}catch(e){}said()});
each(all(".pick button"),function(b){b.addEventListener("click",function(){
var on=b.getAttribute("aria-pressed")!=="true",m=b.getAttribute("data-m");
b.setAttribute("aria-pressed",String(on));
each(all('g.s[data-m="'+m+'"]'),function(g){g.classList.toggle("on",on);
if(on)g.parentNode.appendChild(g)});
each(all('.legend li[data-m="'+m+'"]'),function(li){li.classList.toggle("off",!on)})})});
var shut=[];
addEventListener("beforeprint",function(){shut=[];each(all("details:not([open])"),function(d){
d.open=true;shut.push(d)})});
addEventListener("afterprint",function(){shut.forEach(function(d){d.open=false})});
each(all(".helps"),function(p){p.hidden=false});
each(all("table.sorts"),function(table){
each(table.tHead.rows[0].cells,function(th,at){
var text=th.textContent,b=document.createElement("button");
b.type="button";b.textContent=text;th.textContent="";th.appendChild(b);
b.addEventListener("click",function(){
var up=th.getAttribute("aria-sort")!=="ascending",body=table.tBodies[0];
function value(row){var c=row.cells[at],v=c.getAttribute("data-v");
return v===null?c.textContent.trim().toLowerCase():v===""?null:parseFloat(v)}
var rows=Array.prototype.slice.call(body.rows);
rows.sort(function(p,q){var a=value(p),c=value(q);
if(a===null||c===null)return (a===null)-(c===null);
return (a<c?-1:a>c?1:0)*(up?1:-1)});
each(table.tHead.rows[0].cells,function(o){o.removeAttribute("aria-sort")});
th.setAttribute("aria-sort",up?"ascending":"descending");
rows.forEach(function(row){body.appendChild(row)})})})});
})();
"""
