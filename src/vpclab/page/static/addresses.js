// IPv4 addresses as numbers, and what the letters of the picture mean.
export const MEANING = {
  p: "a pod's", w: "warm: ready for the next pod", c: "cooling: was a pod's until a moment ago", x: "in a prefix, unused yet",
  e: "an ENI's own", l: "on its way back to EC2", h: "held by an ENI that no agent tells of", a: "AWS's own", ".": "free",
};
export const LEGEND = [["p", "pod"], ["w", "warm"], ["c", "cooling"], ["x", "prefix"], ["e", "ENI's own"], ["l", "going back"], ["h", "other"], ["free", "free"]];
export const ORDER = ["e", "p", "c", "w", "x", "l", "h"];

export function number(address) {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function address(value) {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

export function within(cidr, one) {
  const [base, bits] = cidr.split("/");
  const size = 2 ** (32 - Number(bits ?? 32));
  const offset = number(one) - number(base);
  return offset >= 0 && offset < size;
}
