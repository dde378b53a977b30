"""What a gate's page says where: the template, in which every value is escaped.

A text in Python, so that it belongs to the code whose digest a run is frozen with, and is installed wherever the code is.
"""

from __future__ import annotations

PAGE = """\
<!DOCTYPE html>
<html lang="en">
{%- macro said(text, length=400) -%}<bdi>{{ text | shown(length) }}</bdi>{%- endmacro %}
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ gate | shown(60) }}: {{ decision | shown(30) }}{% if about %}, {{ (about.values() | first) | shown(60) }}{% endif %}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<div class="decision {{ tone }}">
<span class="sign" aria-hidden="true">{{ sign }}</span>
<div><h1>{{ gate | shown(60) }}: {{ decision | shown(30) }}</h1><p>{{ headline }}</p></div>
</div>
{%- if about %}
<dl class="facts">
{%- for name, value in about.items() %}
<div><dt>{{ name | shown(60) }}</dt><dd{% if ':' in value %} class="name"{% endif %}>{{ said(value, 200) }}</dd></div>
{%- endfor %}
</dl>
{%- endif %}
<ul class="counts" aria-label="Outcomes of the rules">
{%- for section in sections %}
<li><a class="{{ section.tone }}" href="#{{ section.id }}">{{ section.count }} {{ section.word }}</a></li>
{%- endfor %}
{%- if plots %}
<li><a href="#plots">Plots</a></li>
{%- endif %}
</ul>
</header>
{%- macro rule_card(rule, section) %}
<article class="rule {{ section.tone }}">
<h3>{{ said(rule.subject, 200) }}</h3>
<p class="name">{{ said(rule.name, 120) }}</p>
<dl class="found">
<div><dt>expected</dt><dd>{{ said(rule.expected) }}</dd></div>
<div><dt>found</dt><dd>{{ said(rule.found) }}</dd></div>
{%- for name, value in rule.more.items() %}
<div><dt>{{ name | shown(60) }}</dt><dd>{{ said(value) }}</dd></div>
{%- endfor %}
</dl>
{%- if rule.evidence %}
<ul>{% for fact in rule.evidence %}<li>{{ said(fact, 300) }}</li>{% endfor %}</ul>
{%- endif %}
</article>
{%- endmacro %}
{%- macro rule_table(section) %}
<div class="scroll"><table>
<tr><th scope="col">about</th><th scope="col">rule</th><th scope="col">expected</th><th scope="col">found</th></tr>
{%- for rule in section.rules %}
<tr><td>{{ said(rule.subject, 200) }}</td><td class="name">{{ said(rule.name, 120) }}</td><td>{{ said(rule.expected, 200) }}</td>
<td>{{ said(rule.found, 200) }}{% for name, value in rule.more.items() %}<br>{{ name | shown(60) }}: {{ said(value, 200) }}{% endfor %}
{%- for fact in rule.evidence %}<br><span class="soft">{{ said(fact, 200) }}</span>{% endfor %}</td></tr>
{%- endfor %}
</table></div>
{%- endmacro %}
{%- for section in sections %}
<section id="{{ section.id }}">
<h2>{{ section.title }}</h2>
{%- if section.folded %}
<details><summary>{{ section.count }} {{ section.word }}</summary>{{ rule_table(section) }}
{%- else %}
{%- for rule in section.rules %}{{ rule_card(rule, section) }}{% endfor %}
{%- endif %}
{%- if section.left_out %}
<p class="soft">{{ section.left_out }} more are in verdict.json beside this page.</p>
{%- endif %}
{%- if section.folded %}
</details>
{%- endif %}
</section>
{%- endfor %}
{%- if more %}
<section><h2>More of the verdict</h2>
<dl class="facts">
{%- for name, value in more.items() %}
<div><dt>{{ name | shown(60) }}</dt><dd>{{ said(value, 2000) }}</dd></div>
{%- endfor %}
</dl></section>
{%- endif %}
<div id="plots">
{%- for group in plots %}
<section>
<h2>{{ said(group.title, 120) }}</h2>
{%- if group.legend %}<p class="legend">{% for word in group.legend %}<span>{{ word }}</span>{% endfor %}</p>{% endif %}
<div class="plots">
{%- for plot in group.plots %}
<figure{% if plot.urgent %} class="urgent"{% endif %}>
<figcaption><h3>{{ said(plot.title, 120) }}</h3>{% if plot.urgent %}<span class="tag">blocked</span>{% endif %}
{%- if plot.says %}<p>{{ said(plot.says, 600) }}</p>{% endif %}
{%- if plot.problem %}<p class="problem">This could not be drawn: {{ said(plot.problem) }}</p>{% endif %}</figcaption>
{{- plot.picture }}
{%- if plot.rows %}
<details{% if plot.unfolded %} open{% endif %}><summary>Table</summary><div class="scroll"><table>
<tr>{% for name in plot.head %}<th scope="col">{{ name | shown(60) }}</th>{% endfor %}</tr>
{%- for row in plot.rows %}
<tr>{% for cell in row %}<td>{{ said(cell, 80) }}</td>{% endfor %}</tr>
{%- endfor %}
</table></div>{% if plot.left_out %}<p class="soft small">{{ plot.left_out }} more rows are left out.</p>{% endif %}</details>
{%- endif %}
</figure>
{%- endfor %}
</div>
</section>
{%- endfor %}
{%- if plots_left_out %}
<p class="soft">{{ plots_left_out }} more plots are left out.</p>
{%- endif %}
</div>
<footer>The evidence is verdict.json in the same folder; this page is made from it, for people. Nothing reads it to decide.</footer>
</main>
</body>
</html>
"""
