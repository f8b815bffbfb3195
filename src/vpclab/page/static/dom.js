// Making elements, and the one tooltip.
const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "tip") tipped(element, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const tip = document.getElementById("tip");

export function showTip(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${event.clientY + box.height + 26 > innerHeight ? event.clientY - box.height - 10 : event.clientY + 16}px`;
}

export function hideTip() {
  tip.hidden = true;
}

function tipped(element, text) {
  element.addEventListener("pointermove", (event) => showTip(text, event));
  element.addEventListener("pointerleave", hideTip);
}

export function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : word.endsWith("s") ? "es" : "s"}`;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}
