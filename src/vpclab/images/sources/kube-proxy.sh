#!/bin/sh
# kube-proxy writes its rules with the iptables that the node's kubelet uses: kubelet's chain tells which that is.
for kind in nft legacy; do
  if /usr/local/lib/iptables/$kind/iptables-save -t mangle 2>/dev/null | grep -qE 'KUBE-(IPTABLES-HINT|KUBELET-CANARY)'; then
    PATH=/usr/local/lib/iptables/$kind:$PATH
    break
  fi
done
export PATH
exec /usr/local/lib/kube-proxy "$@"
