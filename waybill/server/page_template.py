"""What the server's page says where: the template, in which every value is escaped.

Names and numbers that a request is made of stand in attributes, whole; what people read is cut and made harmless to look at.
"""

from __future__ import annotations

PAGE = """\
<!DOCTYPE html>
<html lang="en">
{% macro said(text, length=200) %}<bdi>{{ text | shown(length) }}</bdi>{% endmacro %}
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Waybill: models that answer here</title>
<link rel="stylesheet" href="/page/page.css">
<script src="/page/page.js" defer></script>
</head>
<body>
<main>
<header>
<h1>Models that answer here</h1>
<p class="soft">Asked over TensorFlow Serving's REST API, on this machine. For laptops and tests.</p>
</header>
{% if not models %}
<p class="card">No model is served yet. One appears when a run promotes it; load this page again then.</p>
{% endif %}
{% for model in models %}
{% set part = "m" ~ loop.index %}
<section aria-labelledby="{{ part }}">
<h2 id="{{ part }}">{{ said(model.name) }}</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">version</th><th scope="col">labels</th><th scope="col">state</th></tr></thead>
<tbody>
{% for one in model.versions %}
<tr><td class="code">{{ one.number }}</td>
<td>{% for label in one.labels %}<span class="label">{{ said(label, 60) }}</span> {% else %}<span class="soft">none</span>{% endfor %}</td>
<td><span class="state {{ one.state | replace(' ', '-') }}">{{ one.state }}</span>
{% if one.error %}<p class="small">{{ said(one.error, 400) }}</p>{% endif %}</td></tr>
{% else %}
<tr><td colspan="3" class="soft">no version has been found under its base path</td></tr>
{% endfor %}
</tbody></table></div>
{% if model.form %}
<form class="card" data-model="{{ model.name }}" data-signature="{{ model.form.signature }}" data-targets="{{ model.targets }}"
 data-outputs="{{ model.form.outputs | tojson | forceescape }}" aria-labelledby="{{ part }}" autocomplete="off">
<h3>Ask <code>{{ said(model.form.signature, 60) }}</code></h3>
<p class="small soft">
{%- if model.form.filled %}Filled with {{ model.form.filled }}.
{%- else %}The version brings no example (no warm-up requests), so the fields start from neutral values.
{%- endif %}
{%- if model.form.fields | selectattr("missing") | list %} A field that is left empty is sent as missing.{% endif %}</p>
<div class="fields">
{% for field in model.form.fields %}
{% set id = part ~ "f" ~ loop.index %}
<div class="field{% if field.kind in ('picture', 'pixels') %} wide{% endif %}" data-name="{{ field.name }}" data-kind="{{ field.kind }}"
 data-dtype="{{ field.dtype }}" data-around="{{ field.around }}"
 data-missing="{{ field.missing }}" data-size="{{ field.size | join(' ') }}">
<label for="{{ id }}">{{ said(field.name) }}</label> <span class="small soft">
{{- "encoded picture" if field.kind == "picture" else field.dtype }} {{ field.shape }}</span>
{% if field.kind in ("picture", "pixels") %}
<div class="draw">
<canvas id="{{ id }}" width="280" height="280" tabindex="0" role="img" data-value="{{ field.value }}"
 aria-label="Board. Draw with the mouse or a finger; with the keyboard, arrows move the pen, and Shift with an arrow draws."
></canvas>
<div class="tools">
<label>a picture instead <input type="file" accept="image/*" class="file"></label>
<label>strokes <select class="ink"><option value="dark"{% if field.kind == "picture" %} selected{% endif %}>dark on light</option>
<option value="light"{% if field.kind == "pixels" %} selected{% endif %}>light on dark</option></select></label>
{% if field.kind == "pixels" %}
<label>white is sent as <input class="white" inputmode="decimal" size="6"
 value="{{ '1' if field.dtype.startswith('float') else '127' if field.dtype == 'int8' else '255' }}"></label>
{% endif %}
<button type="button" class="clear">Clear</button>
</div></div>
{% elif field.kind == "truth" %}
<select id="{{ id }}" class="value"><option{% if field.value == "false" %} selected{% endif %}>false</option>
<option{% if field.value == "true" %} selected{% endif %}>true</option></select>
{% elif field.kind == "list" %}
<textarea id="{{ id }}" class="value code" rows="3" spellcheck="false">{{ field.value }}</textarea>
{% else %}
<input id="{{ id }}" class="value" value="{{ field.value }}" spellcheck="false"
{%- if field.kind == "number" %} inputmode="decimal"{% endif %}
{%- if field.missing and field.kind != "text" %} placeholder="missing"{% elif field.missing %} placeholder="missing, or empty"{% endif %}>
{% endif %}
<p class="wrong small" id="{{ id }}w" hidden></p>
</div>
{% endfor %}
</div>
<p><button type="submit">Ask{% if model.asked | length > 1 %} {{ model.asked | length }} versions{% endif %}</button></p>
<div class="answers" aria-live="polite"></div>
</form>
{% elif model.asked %}
<p class="card soft">No form can be made for this model: none of its signatures is predicted with, or an input is of a type or size that no
field is for. It answers over REST and gRPC all the same.</p>
{% endif %}
</section>
{% endfor %}
<noscript><p class="card">Asking from this page needs its script, which comes from this server; the REST API answers without.</p></noscript>
<footer>State at the time this page was loaded. Errors and examples shown here are the models' own.</footer>
</main>
</body>
</html>
"""
