r"""What the server's page does: reads a form, asks the versions over REST, and shows their answers side by side.

Numbers go out as they were typed, because a script's own numbers are not exact and cannot be NaN in JSON; nothing that came from a model
becomes markup.
"""

from __future__ import annotations

from waybill.server.page_board import BOARD

_ASK = r"""
const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const whole = /^[+-]?\d+$/;

function element(tag, words, text) {
  const made = document.createElement(tag);
  if (words) made.className = words;
  if (text !== undefined) made.textContent = text;
  return made;
}

function wrapped(json, around) {
  return "[".repeat(around) + json + "]".repeat(around);
}

// JSON has neither a plus sign, nor zeros in front, nor a point without figures on both its sides.
function plain(text) {
  const [, sign, whole, fraction, exponent] = /^([+-]?)(\d*)\.?(\d*)(.*)$/.exec(text);
  return (sign === "-" ? "-" : "") + (whole.replace(/^0+(?=\d)/, "") || "0") + (fraction ? "." + fraction : "") + exponent;
}

function valueOf(field) {
  const { kind, missing, dtype } = field.dataset;
  const around = Number(field.dataset.around);
  if (kind === "picture") return wrapped('{"b64":"' + boards.get(field).encoded() + '"}', around);
  if (kind === "pixels") return JSON.stringify(boards.get(field).pixels());
  const typed = field.querySelector(".value").value;
  if (kind === "text") return wrapped(JSON.stringify(typed), around);
  if (kind === "list") {
    try { parsed(typed); return typed; } catch { throw new Error("expected a list in JSON, such as [[1, 2]]"); }
  }
  const text = typed.trim();
  if (kind === "truth") return wrapped(text, around);
  if (!text) {
    if (missing) return wrapped(missing, around);
    throw new Error("expected a number; this signature has no sign for a missing one");
  }
  if (kind === "number" && /^[+-]?(nan|inf(inity)?)$/i.test(text))
    return wrapped(/nan/i.test(text) ? "NaN" : (text[0] === "-" ? "-" : "") + "Infinity", around);
  const [form, words] = kind === "whole" ? [whole, "a whole number, such as 12"] : [number, "a number, such as 12.5"];
  if (!form.test(text)) throw new Error("expected " + words + " (" + dtype + ")");
  return wrapped(plain(text), around);
}

function bodyOf(form) {
  const parts = [];
  let first = null;
  for (const field of form.querySelectorAll(".field")) {
    const input = field.querySelector(".value, canvas"), wrong = field.querySelector(".wrong");
    wrong.hidden = true;
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
    try {
      parts.push(JSON.stringify(field.dataset.name) + ":" + valueOf(field));
    } catch (problem) {
      wrong.textContent = problem.message;
      wrong.hidden = false;
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", wrong.id);
      first = first || input;
    }
  }
  if (first) { first.focus(); return null; }
  return '{"signature_name":' + JSON.stringify(form.dataset.signature) + ',"inputs":{' + parts.join(",") + "}}";
}

// The server writes NaN and Infinity, which JSON does not have, and whole numbers that a script cannot hold; both are kept as texts.
function parsed(text) {
  const kept = (one) => /^(-?\d{16,}|-?Infinity|NaN)$/.test(one) ? '"' + one + '"' : one;
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|-?Infinity|NaN/g, kept));
}

async function ask(model, version, body) {
  const began = performance.now();
  const path = "/v1/models/" + encodeURIComponent(model) + "/versions/" + version + ":predict";
  try {
    const response = await fetch(path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    const text = await response.text();
    const milliseconds = performance.now() - began;
    const said = parsed(text);
    return response.ok ? { outputs: said.outputs, milliseconds } : { problem: said.error || "status " + response.status };
  } catch (problem) {
    return { problem: "no answer: " + problem.message };
  }
}

function row(value) {
  let found = value;
  while (Array.isArray(found) && found.length === 1) found = found[0];
  return found;
}

function figure(value, kept = 6) {
  return typeof value === "number" ? String(Number(value.toPrecision(kept))) : typeof value === "string" ? value : JSON.stringify(value);
}

function bars(values) {
  const list = element("ol", "bars");
  const top = Math.max(...values), least = Math.min(0, ...values), span = Math.max(top - least, 1e-9);
  values.forEach((value, place) => {
    const item = element("li", value === top ? "top" : ""), rail = element("span", "rail"), bar = element("span", "bar");
    bar.style.width = 100 * (value - least) / (least < 0 ? span : Math.max(top, 1)) + "%";
    rail.append(bar);
    item.append(element("span", "", place), rail, element("span", "figure", figure(value, 3)));
    list.append(item);
  });
  return list;
}

function shownOutput(name, value) {
  const part = element("div"), found = row(value);
  part.append(element("p", "small soft", name));
  const several = Array.isArray(found) && found.length <= 1000 && found.every((one) => typeof one === "number");
  if (several) {
    const top = found.indexOf(Math.max(...found));
    part.append(element("p", "score", found.length > 1 ? "highest: " + top : ""), bars(found));
  } else part.append(element("p", Array.isArray(found) ? "code" : "score", figure(found).slice(0, 2000)));
  return part;
}

function shownAnswer(target, said, outputs, first) {
  const [version, labels] = target, card = element("div", "answer");
  card.dataset.version = version;
  card.append(element("h4", "", (labels ? labels + ", " : "") + "version " + version));
  if (said.problem) {
    card.append(element("p", "wrong", said.problem));
    card.append(element("p", "small soft", "Load this page again if the version has gone meanwhile."));
    return card;
  }
  const named = outputs.length === 1 ? { [outputs[0]]: said.outputs } : said.outputs;
  for (const name of Object.keys(named)) card.append(shownOutput(name, named[name]));
  const mine = row(said.outputs), theirs = first && row(first.outputs);
  if (typeof mine === "number" && typeof theirs === "number")
    card.append(element("p", "small", "difference to the first: " + (mine >= theirs ? "+" : "") + figure(mine - theirs)));
  card.append(element("p", "small soft latency", said.milliseconds.toFixed(1) + " ms from this page and back"));
  return card;
}

async function submitted(event) {
  event.preventDefault();
  const form = event.currentTarget, answers = form.querySelector(".answers"), button = form.querySelector("[type=submit]");
  if (button.disabled) return;
  answers.replaceChildren();  // they are about another row than the one that is in the form now
  const body = bodyOf(form);
  if (body === null) return;
  const targets = JSON.parse(form.dataset.targets), outputs = JSON.parse(form.dataset.outputs);
  button.disabled = true;
  try {
    const cards = [];
    let first = null;
    for (const target of targets) {  // one after the other, so that none makes another slow
      const said = await ask(form.dataset.model, target[0], body);
      cards.push(shownAnswer(target, said, outputs, first));
      first = first || (said.problem ? null : said);
    }
    if (targets.length === 1) cards.push(element("p", "small soft", "One version answers, so there is none to compare it with."));
    answers.replaceChildren(...cards);
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form")) {
  for (const field of form.querySelectorAll("[data-kind=picture], [data-kind=pixels]")) boards.set(field, new Board(field));
  form.addEventListener("submit", submitted);
}
"""

SCRIPT = '"use strict";\n' + BOARD + _ASK
