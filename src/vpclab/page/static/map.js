// The map: VPCs, their zones, subnets and machines. What did not change is not drawn again.
import { h } from "./dom.js";
import { subnetCard } from "./subnet.js";
import { machineCard } from "./machine.js";
import { within } from "./addresses.js";

const root = document.getElementById("map");
const drawn = new Map();

function once(key, value, make) {
  const text = JSON.stringify(value);
  const before = drawn.get(key);
  if (before && before.text === text) return before.element;
  const element = make();
  drawn.set(key, { text, element });
  return element;
}

export function drawMap(picture, choose, chosen) {
  const owners = ownersOf(picture);
  const kept = new Set();
  const vpcs = picture.vpcs.map((vpc) => {
    const subnets = picture.subnets.filter((subnet) => subnet.vpc === vpc.id);
    const zones = [...new Set(subnets.map((subnet) => subnet.zone))].sort();
    return h("section", { class: "vpc", style: `--zones:${Math.max(1, zones.length)}` },
      h("h2", {}, vpc.name, h("span", { class: "mono" }, vpc.cidrs.join(", "))),
      h("div", { class: "zones" }, zones.map((zone) => h("div", { class: "zone" }, h("h3", {}, zone), subnets.filter((subnet) => subnet.zone === zone).map((subnet) => {
        const machines = picture.machines.filter((machine) => machine.subnet === subnet.id);
        const key = `subnet ${subnet.id}`;
        kept.add(key);
        const card = once(key, subnet, () => subnetCard(subnet, owners));
        card.querySelectorAll(".machine").forEach((old) => old.remove());
        for (const machine of machines) {
          const name = `machine ${machine.name}`;
          kept.add(name);
          card.append(once(name, [machine, chosen], () => machineCard(machine, choose, chosen)));
        }
        return card;
      })))));
  });
  for (const key of drawn.keys()) if (!kept.has(key)) drawn.delete(key);
  const at = [root.scrollLeft, root.scrollTop];
  root.replaceChildren(...vpcs);
  [root.scrollLeft, root.scrollTop] = at;
}

function ownersOf(picture) {
  const pods = new Map(picture.machines.flatMap((machine) => machine.pods.map((pod) => [pod.ip, `pod ${pod.namespace}/${pod.name} on ${machine.name}`])));
  return (one) => {
    if (pods.has(one)) return pods.get(one);
    for (const machine of picture.machines) {
      for (const eni of machine.enis) {
        if (eni.primary === one || eni.places.some((place) => within(place.block, one))) return `${machine.name} ${eni.device ?? ""} ${eni.id}`;
      }
    }
    return "";
  };
}

root.addEventListener("pointerover", (event) => light(event.target.closest("[data-ip]")?.dataset.ip));
root.addEventListener("pointerout", () => light(null));

function light(ip) {
  root.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
  if (ip) root.querySelectorAll(`[data-ip="${CSS.escape(ip)}"]`).forEach((one) => one.classList.add("lit"));
}
