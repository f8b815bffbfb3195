// The page: hears what is new, draws it.
import { h } from "./dom.js";
import { LEGEND } from "./addresses.js";
import { drawMap } from "./map.js";
import { addCalls, addDecisions, callsInMinute, drawTimeline } from "./timeline.js";
import { close, open } from "./drawer.js";

const link = document.getElementById("link");
let picture = null;
let chosen = "";

document.getElementById("legend").append(...LEGEND.map(([kind, word]) => h("li", {}, h("i", { class: `swatch ${kind}` }), word)));

function draw() {
  if (!picture) return;
  document.getElementById("lab").textContent = `Lab ${picture.name}`;
  document.title = `Lab ${picture.name}`;
  drawMap(picture, choose, chosen);
  drawTotals();
}

function drawTotals() {
  const nodes = picture.machines.filter((machine) => machine.isNode);
  const sum = (of) => nodes.reduce((total, node) => total + of(node), 0);
  const pods = sum((node) => node.pods.length);
  const held = sum((node) => node.pool.reduce((total, pool) => total + pool.numbers.total, 0));
  const totals = [["nodes", nodes.length], ["ENIs", sum((node) => node.enis.length)], ["pods", pods], ["addresses held", held], ["unused", held ? `${Math.round((100 * (held - Math.min(held, sum((node) => node.pool.reduce((t, pool) => t + pool.numbers.assigned, 0))))) / held)} %` : "–"], ["calls in a minute", callsInMinute(now())]];
  document.getElementById("totals").replaceChildren(...totals.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
}

function choose(pod, machine) {
  chosen = `${pod.namespace}/${pod.name}`;
  const others = picture.machines.flatMap((other) => other.pods.filter((one) => one.ip !== pod.ip).map((one) => ({ ...one, node: other.name })));
  open(pod, machine, others.slice(0, 200), () => { chosen = ""; draw(); });
  draw();
}

function now() {
  return Date.now() / 1000;
}

const events = new EventSource("/_lab/events");
events.addEventListener("picture", (event) => {
  picture = JSON.parse(event.data);
  document.body.dataset.drawn = "yes";
  draw();
});
events.addEventListener("calls", (event) => addCalls(JSON.parse(event.data)));
events.addEventListener("decisions", (event) => addDecisions(JSON.parse(event.data)));
events.addEventListener("open", () => { link.textContent = "live"; link.className = "live"; });
events.addEventListener("error", () => { link.textContent = "the lab is gone, or restarts"; link.className = "lost"; });

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen) {
    chosen = "";
    close();
    draw();
  }
});
setInterval(() => {
  if (!picture) return;
  drawTimeline(picture.machines.map((machine) => machine.name), now());
  drawTotals();
}, 500);
