// The last two minutes: calls of AWS's API as bars, the pools' decisions as marks; and the last of them in words.
import { h, s, clock, showTip, hideTip } from "./dom.js";

const WINDOW = 120;
const KEPT = 600;
const LANE = 26;
const LEFT = 84;
const TOP = 16;
const STORY = 60;
const root = document.getElementById("timeline");
const list = document.querySelector("#story ol");
const THROTTLED = /RequestLimitExceeded|Throttl/;
let calls = [];
let decisions = new Map();
let told = false;

export function addCalls(more) {
  calls = calls.concat(more).slice(-KEPT);
  told = false;
}

export function addDecisions(more) {
  for (const one of more) decisions.set(`${one.node} ${one.at} ${one.kind} ${one.what}`, { ...one, seconds: Date.parse(one.last_at ?? one.at) / 1000 });
  if (decisions.size > KEPT) decisions = new Map([...decisions].slice(-KEPT));
  told = false;
}

export function callsInMinute(now) {
  return calls.filter((call) => call.at > now - 60).length;
}

export function drawTimeline(names, now) {
  const others = [...new Set(calls.map((call) => call.who))].filter((who) => !names.includes(who)).sort();
  const lanes = [...names, ...others];
  const width = root.clientWidth || 900;
  const height = TOP + lanes.length * LANE + 6;
  const x = (seconds) => LEFT + ((seconds - (now - WINDOW)) / WINDOW) * (width - LEFT - 16);
  const drawing = s("svg", { viewBox: `0 0 ${width} ${height}`, height });
  for (let ago = 0; ago <= WINDOW; ago += 15) {
    const at = x(now - ago);
    drawing.append(s("line", { class: "tick", x1: at, x2: at, y1: TOP, y2: height - 4 }), s("text", { x: at, y: 11, "text-anchor": ago ? "middle" : "end" }, ago ? `−${ago} s` : "now"));
  }
  lanes.forEach((name, index) => {
    const middle = TOP + index * LANE + LANE / 2;
    drawing.append(s("line", { class: "lane", x1: LEFT, x2: width - 16, y1: middle, y2: middle }), s("text", { x: LEFT - 10, y: middle + 4, "text-anchor": "end" }, name.length > 12 ? `${name.slice(0, 11)}…` : name));
  });
  for (const call of calls) {
    if (call.at + call.seconds < now - WINDOW) continue;
    const middle = TOP + lanes.indexOf(call.who) * LANE + LANE / 2;
    const from = Math.max(LEFT, x(call.at));
    const state = !call.code ? "" : THROTTLED.test(call.code) ? " throttled" : " error";
    drawing.append(marked(s("rect", { class: `call${state}`, x: from, y: middle - 8, width: Math.max(3, x(call.at + call.seconds) - from), height: 7, rx: 2 }),
      `${clock(call.at)}  ${call.who}\n${call.action}, ${call.seconds.toFixed(2)} s${call.code ? `\n${call.code}` : ""}`));
  }
  for (const one of decisions.values()) {
    if (one.seconds < now - WINDOW || !lanes.includes(one.node)) continue;
    const middle = TOP + lanes.indexOf(one.node) * LANE + LANE / 2 + 6;
    const at = x(one.seconds);
    drawing.append(marked(s("path", { class: one.kind, d: `M${at} ${middle - 4.5}l4.5 4.5l-4.5 4.5l-4.5 -4.5z` }), `${clock(one.seconds)}  ${one.node}, ${one.kind}\n${one.what}\n${one.why}`));
  }
  root.replaceChildren(drawing);
  if (!told) tellStory();
}

function marked(element, text) {
  element.addEventListener("pointermove", (event) => showTip(text, event));
  element.addEventListener("pointerleave", hideTip);
  return element;
}

function tellStory() {
  told = true;
  const lines = [
    ...calls.map((call) => ({ at: call.at, who: call.who, text: `${call.action}${call.code ? ` answered ${call.code}` : ""}`, bad: Boolean(call.code), why: `${call.seconds.toFixed(2)} s` })),
    ...[...decisions.values()].filter((one) => one.kind !== "begun").map((one) => ({ at: one.seconds, who: one.node, text: one.what, bad: one.kind !== "done", why: one.why })),
  ].sort((one, other) => other.at - one.at).slice(0, STORY);
  list.replaceChildren(...lines.map((line) => h("li", {}, h("time", {}, clock(line.at)), h("span", { class: line.bad ? "bad" : "" }, h("b", {}, line.who), ` ${line.text} `, h("span", { class: line.bad ? "" : "why" }, line.why)))));
}
