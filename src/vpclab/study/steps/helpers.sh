# What the steps' proofs use. Read by the study's shell before its first step; it prints nothing.

study_pod_ips() { # NODE_ADDRESS: addresses of the pods that run there and have a network of their own
  kubectl get pod -A -o json | jq -r --arg node "$1" '
    .items[] | select(.status.hostIP == $node and .spec.hostNetwork != true and .status.podIP != null
      and .status.phase == "Running" and .metadata.deletionTimestamp == null) | .status.podIP' | sort
}
study_pod_routes() { ssh "ec2-user@$1" sudo ip route | sed -nE 's/^([0-9.]+) dev eni.* scope link.*/\1/p' | sort; }
study_veths() { ssh "ec2-user@$1" sudo ip -br link | grep -cE '^eni[0-9a-f]{11}@'; }
study_pool() { ssh "ec2-user@$1" curl -s 127.0.0.1:61679/v1/enis; }
study_numbers() { ssh "ec2-user@$1" curl -s 127.0.0.1:61679/v2/status; }
study_host_of() { kubectl get pod "$1" -o 'jsonpath={.status.hostIP}'; }
study_nodes() { kubectl get node -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'; }
study_zone() { # ZONE: its node's address
  kubectl get node --selector="topology.kubernetes.io/zone=ap-northeast-2$1" -o 'jsonpath={.items[0].status.addresses[0].address}'
}
: "${N1:=$(study_zone a)}" "${N2:=$(study_zone b)}" "${N3:=$(study_zone c)}"
