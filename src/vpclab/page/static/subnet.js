// A subnet: how full it is, and each of its addresses; two /28s a line.
import { h, plural, showTip, hideTip } from "./dom.js";
import { MEANING, ORDER, address, number } from "./addresses.js";

const BLOCK = 16;
const COLOURS = { p: "--pod", w: "--warm", c: "--cooling", x: "--prefix", e: "--primary", l: "--leaving", h: "--held", a: "--aws", ".": "--free" };

export function subnetCard(subnet, owners) {
  const usable = subnet.size - 5;
  const used = Object.entries(subnet.counts).some(([kind]) => kind !== "a" && kind !== ".");
  const bar = h("div", { class: "bar", tip: ORDER.filter((kind) => subnet.counts[kind]).map((kind) => `${subnet.counts[kind]} ${MEANING[kind]}`).join("\n") || "nothing is used" });
  for (const kind of ORDER) {
    if (subnet.counts[kind]) bar.append(h("i", { style: `width:${(100 * subnet.counts[kind]) / usable}%;background:var(${COLOURS[kind]})` }));
  }
  const card = h("article", { class: `subnet${used ? "" : " empty"}`, "data-subnet": subnet.id },
    h("header", {},
      h("h4", { tip: subnet.id }, subnet.name),
      h("span", { class: "tag" }, subnet.public ? "public" : "private"),
      h("span", { class: `free${subnet.free ? "" : " none"}`, tip: `${subnet.free} of ${usable} addresses are free` }, h("b", {}, String(subnet.free)), " free")),
    bar);
  if (used) {
    card.append(subnet.cells ? addressMap(subnet, owners) : blockMap(subnet));
  }
  card.append(h("p", { class: "foot" },
    h("span", {}, h("span", { class: "mono" }, subnet.cidr), used ? (subnet.cells ? ", two /28s a line" : ", a /28 each cell") : ""),
    h("span", {}, `${plural(subnet.freeBlocks, "whole /28")} free`)));
  return card;
}

function colour(name, alpha = 1) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return alpha === 1 ? value : `color-mix(in srgb, ${value} ${alpha * 100}%, transparent)`;
}

function canvasOf(columns, rows, gapAfter, paint, told) {
  const canvas = h("canvas", { role: "img" });
  const place = { size: 10, gap: 6 };
  const draw = () => {
    const width = canvas.clientWidth || 320;
    place.gap = gapAfter ? 7 : 0;
    place.size = Math.max(3, (width - place.gap) / columns);
    const height = place.size * rows;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const left = column * place.size + (gapAfter && column >= gapAfter ? place.gap : 0);
        paint(pen, row * columns + column, left, row * place.size, place.size - 1.5);
      }
    }
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    let x = event.clientX - box.left;
    if (gapAfter && x > gapAfter * place.size) x -= place.gap;
    return Math.min(columns - 1, Math.max(0, Math.floor(x / place.size))) + columns * Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / place.size)));
  };
  canvas.addEventListener("pointermove", (event) => showTip(told(at(event)), event));
  canvas.addEventListener("pointerleave", hideTip);
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return canvas;
}

function addressMap(subnet, owners) {
  const base = number(subnet.cidr.split("/")[0]);
  const columns = Math.min(2 * BLOCK, subnet.size);
  const paint = (pen, index, x, y, size) => {
    const kind = subnet.cells[index];
    if (kind === undefined) return;
    pen.beginPath();
    pen.roundRect(x, y, size, size, 2);
    const strong = colour(COLOURS[kind]);
    if (kind === "w" || kind === "l") {
      pen.fillStyle = colour(COLOURS[kind], kind === "w" ? 0.28 : 0.1);
      pen.fill();
      pen.strokeStyle = strong;
      pen.lineWidth = 1.2;
      pen.stroke();
    } else {
      pen.fillStyle = kind === "x" ? colour(COLOURS.x, 0.42) : strong;
      pen.fill();
    }
    if (kind === "c") {
      pen.fillStyle = colour("--panel");
      pen.fillRect(x + size / 2 - 0.8, y + 1.5, 1.6, size - 3);
    }
  };
  const told = (index) => {
    const one = address(base + index);
    const owner = owners(one);
    return `${one}\n${MEANING[subnet.cells[index]] ?? ""}${owner ? `\n${owner}` : ""}`;
  };
  return canvasOf(columns, Math.ceil(subnet.size / columns), columns > BLOCK ? BLOCK : 0, paint, told);
}

function blockMap(subnet) {
  const base = number(subnet.cidr.split("/")[0]);
  const columns = 32;
  const paint = (pen, index, x, y, size) => {
    const block = subnet.blocks[index];
    if (block === undefined) return;
    pen.beginPath();
    pen.roundRect(x, y, size, size, 2);
    const used = block === "x" ? 0 : parseInt(block, 17);
    pen.fillStyle = block === "x" ? colour("--prefix", 0.6) : used === 0 ? colour("--free") : colour("--pod", 0.2 + (0.8 * used) / BLOCK);
    pen.fill();
  };
  const told = (index) => {
    const block = subnet.blocks[index];
    if (block === undefined) return "";
    const name = `${address(base + index * BLOCK)}/28`;
    return block === "x" ? `${name}\na prefix` : `${name}\n${parseInt(block, 17)} of 16 used`;
  };
  return canvasOf(columns, Math.ceil(subnet.blocks.length / columns), 0, paint, told);
}
