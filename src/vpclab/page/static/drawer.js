// One pod: what it has, what is counted, its rules, and the way of a packet.
import { h } from "./dom.js";

const root = document.getElementById("drawer");
const EVERY = 1000;
let shown = null;
let timer = 0;

export function close() {
  shown = null;
  clearTimeout(timer);
  root.hidden = true;
}

export async function open(pod, machine, others, onClose) {
  shown = `${pod.namespace}/${pod.name}`;
  clearTimeout(timer);
  const counters = h("div", { class: "counters" });
  const rules = h("pre", {}, "…");
  const way = h("ol", { class: "way" });
  const verdict = h("p", { class: "verdict" });
  const to = h("select", { name: "to", "aria-label": "To where" },
    h("option", { value: "198.51.100.10:80" }, "the internet (198.51.100.10:80)"),
    h("option", { value: "169.254.169.254:80" }, "the metadata service"),
    others.map((other) => h("option", { value: other.ip }, `pod ${other.name} on ${other.node} (${other.ip})`)));
  const ask = async (event) => {
    event?.preventDefault();
    verdict.className = "note";
    verdict.textContent = "asking the node …";
    way.replaceChildren();
    const found = await get(`${url(pod)}/path?to=${encodeURIComponent(to.value)}`);
    if (shown !== `${pod.namespace}/${pod.name}`) return;
    tellWay(found, way, verdict);
  };
  to.addEventListener("change", ask);
  root.replaceChildren(
    h("header", {}, h("h2", {}, pod.namespace === "default" ? pod.name : shown), h("button", { class: "plain close", type: "button", onclick: () => { close(); onClose(); } }, "Close")),
    facts([["Address", `${pod.ip}/32`], ["Node", machine.name], ["ENI", `${pod.device ?? ""} ${pod.eni ?? "none holds it"}`], ["Host's end", pod.hostVeth]]),
    h("h3", {}, "Packets"), counters,
    h("h3", {}, "The way of a packet"), h("form", { onsubmit: ask }, to, h("button", { class: "plain" }, "Trace")), verdict, way,
    h("h3", {}, "Its rules and routes on the node"), rules);
  root.hidden = false;
  ask();
  await count(pod, counters, rules);
}

async function count(pod, counters, rules) {
  const found = await get(url(pod));
  if (shown !== `${pod.namespace}/${pod.name}`) return;
  if (found.error) {
    counters.replaceChildren(h("span", { class: "note" }, found.error));
    return;
  }
  counters.replaceChildren(
    ...["", "from the pod", "to the pod"].map((head) => h("span", { class: "head" }, head)),
    ...found.counters.flatMap((one) => [h("span", { class: "mono" }, one.device), h("span", {}, `${one.from.toLocaleString("en")}`), h("span", {}, `${one.to.toLocaleString("en")}`)]));
  rules.textContent = found.rules.join("\n") || "none: what it sends follows the main table";
  timer = setTimeout(() => count(pod, counters, rules), EVERY);
}

function tellWay(found, way, verdict) {
  if (found.error) {
    verdict.className = "verdict lost";
    verdict.textContent = found.error;
    return;
  }
  const lost = found.outcome === "lost";
  verdict.className = `verdict${lost ? " lost" : ""}`;
  verdict.textContent = lost ? "It does not arrive." : `It arrives; the far end sees ${found.seenSource}.`;
  way.replaceChildren(...found.steps.map((step) => h("li", { class: step.outcome === "lost" ? "lost" : "" },
    h("span", { class: "stage" }, step.stage),
    h("div", { class: "what" }, h("div", {}, step.what), step.why.map((why) => h("div", { class: "why" }, why))))));
}

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value ?? "–")]));
}

function url(pod) {
  return `/_lab/pods/${encodeURIComponent(pod.namespace)}/${encodeURIComponent(pod.name)}`;
}

async function get(path) {
  try {
    return await (await fetch(path)).json();
  } catch (error) {
    return { error: `the lab does not answer: ${error.message}` };
  }
}
