// A machine: its ENIs with their places, and its pods.
import { h, plural } from "./dom.js";
import { MEANING } from "./addresses.js";

export function machineCard(machine, choose, chosen) {
  const agent = machine.agent;
  const state = !agent ? "" : !agent.answers ? "silent" : !agent.ready ? "not-ready" : agent.condition;
  const card = h("article", { class: `machine ${state}`, "data-machine": machine.name },
    h("header", {},
      h("span", { class: "name", tip: agent ? agentWords(agent) : "a machine without pods" }, machine.name),
      h("span", { class: "type", tip: machine.instanceId }, machine.type),
      h("span", { class: "ips mono" }, machine.privateIp, machine.publicIp ? ` · ${machine.publicIp}` : "")));
  for (const pool of machine.pool) {
    const { total, assigned, cooling, free } = pool.numbers;
    const parts = [plural(assigned, "pod"), `${free} free`, ...(cooling ? [`${cooling} cooling`] : [])];
    card.append(h("p", { class: "pool" }, h("b", {}, plural(total, "address")), ` · ${parts.join(" · ")} · ${pool.targets}`, pool.short ? ` · ${pool.short} short` : "", pool.surplus ? ` · ${pool.surplus} too many` : ""));
    if (pool.blocker) card.append(h("p", { class: "blocked", tip: pool.blocker.advice }, `${pool.blocker.reason}: ${pool.blocker.detail}`));
  }
  for (const eni of machine.enis) card.append(eniRow(eni));
  for (const pool of machine.pool) for (const asked of pool.underWay) card.append(h("p", { class: "eni" }, h("span", { class: "doing" }, `${asked} …`)));
  if (machine.pods.length) {
    card.append(h("div", { class: "pods" }, [...machine.pods].sort(inOrder).map((pod) => {
      const key = `${pod.namespace}/${pod.name}`;
      return h("button", { class: `pod${key === chosen ? " chosen" : ""}`, type: "button", "data-pod": key, "data-ip": pod.ip, onclick: () => choose(pod, machine) },
        pod.namespace === "default" ? pod.name : key, h("span", { class: "mono" }, pod.ip.split(".").slice(-2).map((part) => `.${part}`).join("")));
    })));
  }
  return card;
}

function inOrder(one, other) {
  return `${one.namespace}/${one.name}`.localeCompare(`${other.namespace}/${other.name}`, "en", { numeric: true });
}

function agentWords(agent) {
  if (!agent.answers) return "its agent does not answer";
  return [`agent ${agent.version}: ${agent.condition}`, ...(agent.because ?? [])].join("\n");
}

function eniRow(eni) {
  const places = [h("i", { class: "place e", tip: `${eni.primary}\nthe ENI's own address` }), ...eni.places.map(place)];
  for (let index = 0; index < eni.empty; index++) places.push(h("i", { class: "place empty", tip: "an empty place" }));
  const row = h("div", { class: "eni" },
    h("span", { class: "dev" }, eni.device ?? "–"),
    h("span", { class: "id", tip: `${eni.id}\n${eni.status}${eni.table === null ? "" : `, routing table ${eni.table}`}` }, `…${eni.id.slice(-9)}`),
    h("div", { class: "places" }, places));
  if (eni.underWay) row.append(h("span", { class: "doing" }, eni.underWay));
  return row;
}

function place(one) {
  if (one.kind !== "x") return h("i", { class: `place ${one.kind}`, "data-ip": one.block, tip: `${one.block}\n${MEANING[one.kind]}` });
  const inside = Array.from({ length: 16 }, (_, index) => h("i", { class: index < one.assigned ? "p" : index < one.assigned + one.cooling ? "c" : "" }));
  return h("span", { class: `place x${one.leaving ? " l" : ""}`, "data-prefix": one.block, tip: `${one.block}\n${plural(one.assigned, "pod")}, ${one.cooling} cooling, of 16` }, inside);
}
